#include "common/ipc/doc_read.h"

enum { DEEPEST = 16, MANY = 1 << 20, LONG = 1 << 20 };

bool doc_key(struct rd *r, struct str *key)
{
    return rd_str(r, LONG, key);
}

/* A reader that says no stays where it was: the kinds are tried one after the other. */
bool doc_read(struct rd *r, unsigned depth, struct doc_value *v)
{
    if (depth > DEEPEST)
        return false;
    if (rd_str(r, LONG, &v->text))
        v->kind = DOC_TEXT;
    else if (rd_i64(r, &v->i))
        v->kind = DOC_INT;
    else if (rd_u64(r, &v->u))
        v->kind = DOC_BIG;
    else if (rd_flag(r, &v->flag))
        v->kind = DOC_FLAG;
    else if (rd_nil(r))
        v->kind = DOC_NIL;
    else if (rd_bin(r, LONG, &v->text))
        v->kind = DOC_DECIMAL;
    else if (rd_map(r, MANY, &v->n))
        v->kind = DOC_MAP;
    else if (rd_array(r, MANY, &v->n))
        v->kind = DOC_ARRAY;
    else
        return false;
    return true;
}
