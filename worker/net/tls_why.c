#include "worker/net/tls_why.h"

#include "common/base/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Names of a certificate that are told; it may have thousands. NAME_MAX_: bytes of one. */
enum { NAMES = 3, NAME_MAX_ = 48, TEXT_MAX = 256 };

/* What is wrong with a certificate: ex_data of the SSL, freed with it. */
static void free_text(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int i, long argl, void *argp)
{
    (void)parent, (void)ad, (void)i, (void)argl, (void)argp;
    OPENSSL_free(ptr);
}

static int text_index(void)
{
    static int index = -1;
    if (index == -1)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_text);
    return index;
}

/* ---- certificates */

static bool put_date(struct buf *b, const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 &&
           buf_printf(b, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min);
}

/* Writes a DNS name or an address of the certificate. False: it is of another kind. */
static bool put_name(struct buf *b, const GENERAL_NAME *g, const char *between)
{
    char at[INET6_ADDRSTRLEN];
    if (g->type == GEN_DNS) {
        int n = ASN1_STRING_length(g->d.dNSName);
        return buf_printf(b, "%s%.*s", between, n < NAME_MAX_ ? n : NAME_MAX_,
                          (const char *)ASN1_STRING_get0_data(g->d.dNSName));
    }
    if (g->type != GEN_IPADD)
        return false;
    int n = ASN1_STRING_length(g->d.iPAddress);
    return (n == 4 || n == 16) &&
           inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(g->d.iPAddress), at,
                     sizeof at) &&
           buf_printf(b, "%s%s", between, at);
}

static bool put_common_name(struct buf *b, const X509_NAME *of)
{
    char name[NAME_MAX_ + 1];
    return X509_NAME_get_text_by_NID(of, NID_commonName, name, sizeof name) > 0 &&
           buf_printf(b, "%s", name);
}

/* Writes for which names the certificate is: the first ones, and how many more there are. */
static bool put_names(struct buf *b, X509 *x)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int n = all ? sk_GENERAL_NAME_num(all) : 0, told = 0, more = 0;
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (told == NAMES)
            more += g->type == GEN_DNS || g->type == GEN_IPADD;
        else
            told += put_name(b, g, told ? ", " : "");
    }
    GENERAL_NAMES_free(all);
    if (told == 0)
        return put_common_name(b, X509_get_subject_name(x)) || buf_printf(b, "no name");
    return more == 0 || buf_printf(b, " and %d more", more);
}

static bool put_fault(struct buf *b, X509_STORE_CTX *store, X509 *x)
{
    int code = X509_STORE_CTX_get_error(store);
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return buf_printf(b, "expired on ") && put_date(b, X509_get0_notAfter(x));
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return buf_printf(b, "not yet valid, before ") && put_date(b, X509_get0_notBefore(x));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return buf_printf(b, "name does not match: it is for ") && put_names(b, x);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return buf_printf(b, "self-signed");
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return buf_printf(b, "unknown issuer: ") && put_common_name(b, X509_get_subject_name(x));
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return buf_printf(b, "unknown issuer: ") && put_common_name(b, X509_get_issuer_name(x));
    default:
        return buf_printf(b, "%s", X509_verify_cert_error_string(code));
    }
}

int tls_why_verify(int ok, X509_STORE_CTX *store)
{
    if (ok)
        return ok;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *x = X509_STORE_CTX_get_current_cert(store);
    struct buf b;
    buf_init(&b, TEXT_MAX);
    if (ssl && x && !SSL_get_ex_data(ssl, text_index())) {
        if (X509_STORE_CTX_get_error_depth(store) > 0 &&
            X509_STORE_CTX_get_error(store) != X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN)
            (void)!(buf_printf(&b, "its issuer ") &&
                    put_common_name(&b, X509_get_subject_name(x)) && buf_printf(&b, ": "));
        (void)!put_fault(&b, store, x); /* what does not fit is left out */
        char *text = OPENSSL_strndup(buf_data(&b), b.len);
        if (text && SSL_set_ex_data(ssl, text_index(), text) != 1)
            OPENSSL_free(text);
    }
    buf_free(&b);
    return 0;
}

/* ---- all else */

/* Reasons of OpenSSL with which the other side's first bytes are no TLS record. */
static bool no_tls(int reason)
{
    return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
           reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_RECORD_LENGTH_MISMATCH ||
           reason == SSL_R_UNEXPECTED_MESSAGE;
}

void tls_why(SSL *ssl, int how, struct err *why)
{
    const char *certificate = SSL_get_ex_data(ssl, text_index());
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    if (certificate)
        err_set(why, "%s", certificate);
    else if (how == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        err_set(why, "the connection was %s", errno == ECONNRESET ? "reset" : "closed");
    else if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
             reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
        err_set(why, "the other side sent the alert \"%s\"",
                SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (no_tls(reason))
        err_set(why, "the other side does not speak TLS: http:// instead of https://?");
    else
        err_set(why, "%s", code ? ERR_reason_error_string(code) : "no reason is known");
}
