#include "worker/request/env/req_env.h"

void req_env_init(struct req_env *env)
{
    list_init(&env->due);
    list_init(&env->waiting);
    list_init(&env->verifications);
    rnd_init(&env->rnd);
}
