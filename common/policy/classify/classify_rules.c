#include "common/policy/classify/classify_rules.h"

#include "common/policy/classify/classify_words.h"

#define TRANSIENT(whose) .cls = OUTCOME_TRANSIENT, .fault = FAULT_##whose
#define RATE_LIMIT(whose) .cls = OUTCOME_RATE_LIMIT, .fault = FAULT_##whose
#define AUTH(whose) .cls = OUTCOME_AUTH, .fault = FAULT_##whose
#define PERMANENT(whose) .cls = OUTCOME_PERMANENT, .fault = FAULT_##whose

/* ON_REFUSED: statuses whose meaning words may overrule. ON_NO_LIMIT: those that do not already
 * mean a limit or money. */
#define ON_REFUSED                                                                                 \
    (ON_200 | ON_400 | ON_401 | ON_402 | ON_403 | ON_404 | ON_405 | ON_413 | ON_422 | ON_4XX)
#define ON_NO_LIMIT (ON_ANY & ~(unsigned)(ON_429 | ON_402))

/* ---- the rules */

/* clang-format off */

const struct classify_rule classify_rules[] = {
    /* -- a firewall in front of the endpoint: says nothing about the key */
    {.name = "wall-header", .on = ON_ANY,
     .code = "cfmitigated*|xamznwafaction*|xvercelmitigated*|serverddosguard|xsucuri*",
     PERMANENT(ENDPOINT), .scope = SCOPE_ENDPOINT, .why = "a browser challenge or firewall says so in a header"},
    {.name = "wall-page", .on = ON_REFUSED | ON_500,
     .need = TRAIT_PAGE, .markup = true,
     .words = W_WALL,
     .but = "you are being rate limited|bad gateway|gateway time|a timeout occurred|origin*error|"
         "web server is|connection timed out|ssl handshake|invalid ssl certificate|railgun|"
         "unknown error|host error|"
         "access from your country",
     PERMANENT(ENDPOINT), .why = "challenge or firewall page"},
    {.name = "login", .on = ON_3XX, .need = TRAIT_LOGIN,
     PERMANENT(ENDPOINT), .why = "sent to a page where people log in: not an API's address"},
    {.name = "wall-cloudflare", .on = ON_403 | ON_4XX | ON_500,
     .code = "cferror1006|cferror1007|cferror1008|cferror1009|cferror1010|cferror1011|cferror1012|"
         "cferror1014|cferror1020|cferror1000|cferror1002|cferror1003|cferror1018|cferror1023|"
         "cferror1025|cferror1034|cferror1106",
     PERMANENT(ENDPOINT), .scope = SCOPE_ENDPOINT, .why = "Cloudflare's own refusal: the key never arrived"},
    {.name = "wall-text", .on = ON_403 | ON_405 | ON_4XX, .without = TRAIT_PAGE,
     .words = "blocked by waf|waf*block|web application firewall|blocked by*firewall|"
         "security rule|访问被拦截|访问被阻断|请求已被*阻断|请求已被*拦截|防火墙|触发*安全策略",
     .but = "内容",
     PERMANENT(ENDPOINT), .why = "a firewall that answers in text or JSON"},
    {.name = "wall-wrapped", .on = ON_401 | ON_403, .need = TRAIT_JSON,
     .words = "<html|<!doctype",
     PERMANENT(ENDPOINT), .scope = SCOPE_ENDPOINT, .why = "a page in a relay's message: its upstream has a wall"},
    {.name = "wall-unknown-page", .on = ON_401 | ON_403, .need = TRAIT_RICH_PAGE,
     .but = W_PLACE,
     PERMANENT(ENDPOINT), .why = "a 403 as a designed page comes from a wall, not from an API"},

    /* -- the endpoint's own check failed */
    {.name = "check-failed", .on = ON_500,
     .code = "ratelimitcheckfailed|*checkfailed|nodbconnection|querydataerror|updatedataerror",
     TRANSIENT(ENDPOINT), .why = "the limiter or the key store is down, not the key or the limit"},

    /* -- larger than the account's whole allowance */
    {.name = "too-large-for-account", .on = ON_413,
     .words = W_PER_MINUTE "|request body too large for*model",
     PERMANENT(ENDPOINT), .scope = SCOPE_FEATURE, .why = "a larger account would serve it; this one never will"},

    /* -- the request is at fault: words that the error quotes from it must not decide */
    {.name = "signature", .on = ON_NO_LIMIT, .quoted = true,
     .words = W_SIGNATURE,
     .but = "request signature|signature*expired|aws signature|signaturedoesnotmatch|"
         "signature version",
     PERMANENT(UNCLEAR),
     .scope = SCOPE_CONVERSATION, .why = "the provider that made the thinking block would accept it, others would not"},
    {.name = "signature-code", .on = ON_NO_LIMIT, .need = TRAIT_VALIDATION,
     .code = "invalidencryptedcontent|thinkingsignatureinvalid|invalidsignature",
     PERMANENT(UNCLEAR), .scope = SCOPE_CONVERSATION, .why = "the same, by code"},
    {.name = "too-long-code", .on = ON_NO_LIMIT,
     .code = "*contextlengthexceeded*|*contextwindowexceeded*|*promptexceeded|*prompttoolong|"
         "*inputtoolong|*contexttoolong|*contextoverflow*|*contextsizeexceeded|exceedcontextsize*|"
         "*tokenlimitexceeded|*promptlengthexceeded|contentlengthexceeds*|stringabovemaxlength|contextlimitexceeded|maxtokensexceeded|"
         "inputlengthexceeded|modelcontextwindowexceeded|tokenstoolong|characterstoolong|code1261|code10907",
     PERMANENT(REQUEST), .flags = FLAG_SURE, .why = "no endpoint with this model takes it"},
    {.name = "too-long", .on = ON_NO_LIMIT & ~(unsigned)ON_401, .without = TRAIT_PAGE,
     .words = W_TOO_LONG,
     .but = W_PER_MINUTE "|" W_MONEY_EN "|deadline|uri too long|url too long|took too long|"
         "时间过长|等待*过长|时间太长|等待*太长|too long to",
     PERMANENT(REQUEST), .flags = FLAG_SURE, .why = "no endpoint with this model takes it"},
    {.name = "previous-response", .on = ON_REFUSED,
     .code = "previousresponsenotfound",
     PERMANENT(REQUEST), .scope = SCOPE_CONVERSATION, .why = "refers to something that only the endpoint which made it has"},
    {.name = "extra-field", .on = ON_200 | ON_400 | ON_422,
     .without = TRAIT_PAGE,
     .words = "extra inputs are not permitted|extra fields not permitted|extra_forbidden|"
         "unknown field|unknown name|unrecognized request argument|unknown parameter|"
         "unsupported parameter|unsupported field",
     PERMANENT(REQUEST),
     .why = "a member this version does not know; one that speaks another might: ask a second"},
    {.name = "header-too-large", .on = ON_400 | ON_4XX, .need = TRAIT_PAGE,
     .words = "request header or cookie too large|header fields too large|header too large",
     PERMANENT(REQUEST), .why = "a server's bound on headers"},
    {.name = "reference", .on = ON_200 | ON_400 | ON_404, .without = TRAIT_PAGE,
     .words = "cached content|no such file object|container*expired|container*not found|"
         "conversation*not found|thread*not found|item with id*not found|vector store*not found|"
         "file_id*not found|file id*not found|files/*not found",
     PERMANENT(REQUEST), .scope = SCOPE_CONVERSATION, .why = "refers to something that only the endpoint which made it has"},
    {.name = "no-model-named", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = "model is empty|model is required|model field is required|missing model|"
         "model parameter is required|model name is empty|no model specified|must provide a model|"
         "must provide a `model`|missing required parameter: 'model'|模型名称为空|模型不能为空|"
         "未指定模型",
     PERMANENT(REQUEST), .scope = SCOPE_REQUEST, .why = "the request names no model"},
    {.name = "field", .on = ON_200 | ON_400 | ON_422, .need = TRAIT_FIELD | TRAIT_VALIDATION,
     PERMANENT(REQUEST), .flags = FLAG_SURE, .why = "the check names the member that is wrong"},
    {.name = "field-403", .on = ON_403, .need = TRAIT_FIELD | TRAIT_VALIDATION,
     .but = "%key%|account|organi|quota|credit|balance",
     PERMANENT(REQUEST), .why = "the same, under a number that speaks of rights"},
    {.name = "malformed", .on = ON_200 | ON_400 | ON_422, .without = TRAIT_PAGE,
     .words = "malformed input request|extraneous key|against schema|schema violation|"
         "failed to deserialize the json body|cannot unmarshal|request body is invalid|"
         "invalid json payload|request body is empty",
     PERMANENT(REQUEST), .why = "the body's form was refused, in the words of a parser"},
    {.name = "attachment", .on = ON_200 | ON_400 | ON_422, .without = TRAIT_PAGE,
     .words = W_ATTACHMENT,
     PERMANENT(REQUEST),
     .why = "a picture or file of the request: its name and where it lies are the client's words"},

    /* -- money, whatever the status: works again after a payment */
    {.name = "locked-surely", .on = ON_REFUSED | ON_429, .without = TRAIT_PAGE,
     .words = "locked your account|locked it as a security|security precaution",
     AUTH(ENDPOINT), .why = "locked by the maker, whatever code a relay put beside it"},
    {.name = "money-code", .on = ON_ANY,
     .code = "*insufficientquota*|*insufficientuserquota*|*insufficientbalance*|"
         "*insufficientcredit*|*insufficientfunds*|*insufficientaccountbalance*|"
         "*balanceinsufficient*|*balancenotenough*|*balancetoolow*|*quotaexceeded*|"
         "*exceeded*quota*|*quotaexhausted*|*quotanotenough|notenoughquota|*quotafailed|"
         "allocationquota*|outofcredits|*creditsexhausted|nocredits|creditlimit*|"
         "*paymentrequired*|billingerror|*billinghardlimit*|billingnotactive|billinglimit*|"
         "billingdisabled|*overdue*|*arrear*|prepaidbill*|commoditynotpurchased|*budgetexceeded*|"
         "*exceeded*budget*|budgetblocked|*budgetexhausted|*budgetlimit*|*usagelimit*|usagenotincluded|*spendlimit*|*spendinglimit*|"
         "dailylimit*|monthlylimit*|weeklylimit*|*chargeresourceexhaust*|*resourcepackexhausted|"
         "invalidsubscription|subscriptionexpired|subscriptionrequired|subscriptionnotfound|"
         "planexpired|keylimitexceeded|freetieronly|tokenstatusexhausted|*costlimit*|code1113|"
         "code1308|code1309|code1310|statuscode1008|statuscode2056|statuscode1028|statuscode1030|"
         "errorcode17|errorcode19|code30001|code30011|statuscode50002",
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "quota, balance or plan used up, by code"},
    {.name = "money-code-loose", .on = ON_REFUSED | ON_429,
     .code = "*credits|*creditserror|creditsrequired|*lowbalance|*nobalance|*zerobalance|"
         "balanceerror|*accountbalance|quotaerror|*quotalimit*|*quotareached|*quotausedup|"
         "*usageexceeded|*usagecap*|*spending*|*spendlimit*|subscriptionended|"
         "subscriptioninactive|planlimit*|*planexpired|trialended|trialexpired|insufficienttokens|"
         "*billing*|*payment*|monthlyrequestcount",
     .but = "validation|%tool|parameter",
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "the same, by a part of the code"},
    {.name = "money", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = W_MONEY_EN,
     .but = W_THINKING_BUDGET "|invalid tool|invalid function|parameter missing|tool result|tool call",
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "quota, balance or plan used up, in words"},
    {.name = "money-5xx", .on = ON_500, .without = TRAIT_PAGE,
     .words = W_MONEY_EN,
     .but = W_THINKING_BUDGET "|deadline|timeout|timed out|failed to|connection|database|redis|"
         "query",
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "the same, unless it was the counting that broke"},
    {.name = "money-loose", .on = ON_401 | ON_403, .need = TRAIT_JSON,
     .words = "quota|credits|out of credit|budget|allowance|upgrade your plan|upgrade plan|upgrade the plan|"
         "upgrade to continue|升级套餐|subscription has",
     .but = "quota project|" W_MODEL_ACCESS "|" W_CONTENT,
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY,
     .why = "a refusal that speaks of a quota is about the quota: disabling would be wrong"},
    {.name = "money-more", .on = ON_REFUSED | ON_500, .without = TRAIT_PAGE,
     .words = W_MONEY_MORE,
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "the same in other languages"},
    {.name = "money-zh", .on = ON_REFUSED | ON_500, .without = TRAIT_PAGE,
     .words = W_MONEY_ZH,
     .but = "工具|参数|查询*失败|获取*失败|检查*失败",
     RATE_LIMIT(ENDPOINT), .flags = FLAG_MONEY, .why = "quota, balance or plan used up, in words"},

    /* -- the account as a whole */
    {.name = "locked-code", .on = ON_REFUSED | ON_429,
     .code = "accountdeactivated|accountsuspended|accountdisabled|accountlocked|accountbanned|"
         "accountterminated|organizationdisabled|organizationrestricted|organizationdeactivated|"
         "deactivatedworkspace|consumersuspended|userdisabled|userbanned|code1110|code1111|"
         "code1112|code1121|subscriptiondisabled|readonlydisabledsubscription",
     AUTH(ENDPOINT), .why = "the account is out until a human acts"},
    {.name = "locked", .on = ON_REFUSED | ON_429,
     .words = W_LOCKED,
     .but = "check your plan and billing|token*limit|requests per|模型*禁用",
     AUTH(ENDPOINT), .why = "the account is out until a human acts, in words"},

    /* -- content */
    {.name = "content-code", .on = ON_NO_LIMIT,
     .code = "*contentfilter*|*contentpolicy*|*contentinspection*|responsibleaipolicyviolation|"
         "cyberpolicy|policyviolation|datainspectionfailed|invalidprompt|moderation*|"
         "promptblocked|prohibitedcontent|safetyviolation|safety|*safetybreach*|"
         "*sensitivecontent*|contentblocked|unsafecontent|contentmoderation|violationfee*|"
         "code1301|code1300|code10013|code10014|code10019|censorship*|statuscode1026|statuscode1027|*riskcontent|inputblocked|outputblocked|"
         "contentsafety*|contentviolation*|guardrail*|*moderation*|*illegalcontent*|*nsfw*|"
         "*jailbreak*|*promptinjection*|*contentrejected|unsafe*|sensitive|"
         "*contentblocked*|usagepolicy*",
     PERMANENT(REQUEST), .flags = FLAG_SURE, .why = "the maker's content policy"},
    {.name = "content-relay", .on = ON_NO_LIMIT,
     .code = "*sensitiveword*|hooksfailed|blockedbypolicy|riskcontrol|dlp*",
     PERMANENT(REQUEST), .why = "a relay's own list of words; another endpoint may not have it"},
    {.name = "content-relay-words", .on = ON_NO_LIMIT & ~(unsigned)ON_500, .without = TRAIT_PAGE,
     .words = "guardrail policy|guardrail check|violated guardrail|dlp policy|data loss prevention|"
         "prompt pattern is blocked|prompt injection|injection detected|request is prohibited|request was prohibited|"
         "request*violat*terms of service|更换提示词|修改提示词|请求被风控|内容被风控",
     .but = "account|账号|账户|guardrail restrictions",
     PERMANENT(REQUEST), .why = "the same, in words"},
    {.name = "content", .on = ON_NO_LIMIT & ~(unsigned)ON_500, .without = TRAIT_PAGE,
     .words = W_CONTENT,
     .but = "content-type|content filter*unavailable|合规*认证|账号*违规|ip*flagged",
     PERMANENT(REQUEST), .flags = FLAG_SURE, .why = "the maker's content policy, in words"},

    /* -- the country or region */
    {.name = "place", .on = ON_REFUSED & ~(unsigned)(ON_402 | ON_413 | ON_404),
     .without = TRAIT_FIELD,
     .words = W_PLACE,
     .but = "language|locale|currency|model*whitelist|model*allowlist|模型*白名单|model*not supported|not servable|"
         "model*not available|model*unavailable",
     AUTH(ENDPOINT), .why = "the address or country is refused: all requests from here are"},

    /* -- the model */
    {.name = "cold-start", .on = ON_ANY,
     .code = "modelnotreadyexception|modelnotready|modelloading",
     TRANSIENT(ENDPOINT), .why = "the model is being loaded"},
    {.name = "any-model", .on = ON_200 | ON_400 | ON_401 | ON_403, .need = TRAIT_JSON,
     .words = "无权*任何模型|access*any model|no access to any model",
     AUTH(ENDPOINT), .why = "no model at all: the credential as a whole is refused"},
    {.name = "plan-without-model", .on = ON_429,
     .code = "code1311|statuscode2061|modelnotsupportedbyplan|modelpriceerror",
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "the plan has no such model: waiting does not help"},
    {.name = "model-access-code", .on = ON_REFUSED | ON_500,
     .code = "*modelaccessdenied|modelnotallowed|modelaccessdenied|accessdeniedunpurchased|"
         "modelnotopen|unsupportedmodel*|modelpermissiondenied|modelrestricted|deploymentnotfound|"
         "modelpriceerror|channelmodelmappederror|getchannelfailed|noavailablechannel|"
         "nochannelavailable|invalidendpointclosed*|invalidendpointstopped*|"
         "code1311|code1220|statuscode2061|"
         "code30003|modelunavailableforplan|modelnotsupportedbyplan",
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "this account or relay does not have the model"},
    {.name = "model-access", .on = ON_REFUSED | ON_500, .without = TRAIT_PAGE,
     .words = W_MODEL_ACCESS,
     .but = W_ANY_MODEL "|does not exist or you do not have|not found or|not exist or|"
         "bedrock:invoke|permission*denied on resource|" W_NOT_MISSING,
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "refused for one model: the others still pass"},
    {.name = "no-model-here", .on = ON_500 | ON_401 | ON_403, .without = TRAIT_PAGE,
     .words = W_NO_MODEL,
     .but = W_NOT_MISSING "|" W_NOT_NOW "|" W_ANY_MODEL "|permission*denied on resource",
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "no channel for the model: a retry is idle, another endpoint serves"},
    {.name = "no-model-code-here", .on = ON_500 | ON_401 | ON_403,
     .code = "modelnotfound*|modelnotexist*|modelnotsupported|invalidmodel|modelnotavailable|"
         "modelunavailable",
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL, .why = "the same, by code"},
    {.name = "model-subject", .on = ON_401 | ON_403, .need = TRAIT_JSON,
     .words = "^the model |^model |^this model |^the requested model |^requested model |"
         "^the selected model |^模型|^该模型|^此模型|^当前模型",
     .but = W_ANY_MODEL "|%key%|token|credential|authenticat|model provider|" W_NOT_MISSING,
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "a refusal that has the model for its subject: the others still pass"},
    {.name = "names-model", .on = ON_401 | ON_403, .need = TRAIT_JSON | TRAIT_NAMES_MODEL,
     .but = W_KEY "|" W_CLIENT "|" W_ANY_MODEL "|" W_NOT_MISSING,
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "the model is named and the credential is not blamed: the others still pass"},
    {.name = "channel", .on = ON_401 | ON_403, .need = TRAIT_JSON,
     .words = "channel*disabled|channel*unavailable|channel*not available|渠道*禁用|渠道*停用|"
         "渠道*不可用|渠道*关闭",
     PERMANENT(ENDPOINT), .why = "a relay's own upstream is out; our key was not in question"},
    {.name = "no-model-shape", .on = ON_400, .quoted = true,
     .words = "at 'modelid' failed|modelid*failed to satisfy",
     PERMANENT(UNCLEAR), .flags = FLAG_MODEL, .why = "Bedrock's wording: no model has such a name"},
    {.name = "model-load", .on = ON_400 | ON_404 | ON_422, .without = TRAIT_PAGE,
     .words = "failed to load model|failed to load the model|could not load model|no models loaded|"
         "no model loaded|no model is loaded|model is unloaded|model is not loaded",
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "a server of one's own that cannot bring the model into memory"},
    {.name = "no-endpoint-for-this", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = "no endpoints found that support|no endpoints available that support",
     PERMANENT(UNCLEAR), .why = "the model is served, but not with what this request carries"},
    {.name = "no-model-account", .on = ON_REFUSED, .without = TRAIT_PAGE, .quoted = true,
     .words = W_NO_MODEL,
     .also = "account|channel|%group|publisher model|%region|your plan|%plan%|%plans%|project|deployment|"
         "deployed|no endpoints|no provider|no allowed providers|on-demand throughput|inference profile|"
         "end of its life|inaccessible|not activated|not open|free tier|paid model|integrator|"
         "any provider|non-serverless|via the /|jurisdiction|for free|for the organization|your organization|渠道|未开通|"
         "未部署|分组|套餐",
     .but = "does not exist or you do not have|model group|permission*denied on resource|"
         W_NOT_MISSING,
     PERMANENT(ENDPOINT), .flags = FLAG_MODEL,
     .why = "the group, plan, project or region lacks the model"},
    {.name = "no-model-code", .on = ON_REFUSED,
     .code = "*modelnotfound*|*modelnotexist*|modelnotsupported*|invalidmodel*|modelnotavailable|"
         "modeldecommissioned|modelterminated|modelisdeactivated|modeldeactivated|modeldeprecated|invalidendpointormodel*|"
         "unknownmodel|resourcenotfounderror|code1211|code20012|modelunavailable|nosuchmodel|"
         "notfoundmodel",
     PERMANENT(UNCLEAR), .flags = FLAG_MODEL,
     .why = "unknown model: the client's name for it, or this endpoint's list"},
    {.name = "no-model", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = W_NO_MODEL,
     .but = W_NOT_MISSING "|route not found|permission*denied on resource",
     PERMANENT(UNCLEAR), .flags = FLAG_MODEL, .why = "unknown model, in words"},
    {.name = "no-model-name", .on = ON_404,
     .type = "notfounderror",
     .words = "^model: ",
     PERMANENT(UNCLEAR), .flags = FLAG_MODEL, .why = "Anthropic's wording: the name alone"},

    /* -- one kind of client, one feature */
    {.name = "client-code", .on = ON_REFUSED,
     .code = "sessionbinding*|clientvalidationerror|clientnotallowed|clientrestricted|clientrestriction|"
         "accessterminatederror|useragentblocked|unsupportedclient|clientversion*",
     PERMANENT(ENDPOINT), .why = "the key is for another kind of client"},
    {.name = "client", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = W_CLIENT,
     PERMANENT(ENDPOINT), .why = "the key is for another kind of client, in words"},
    {.name = "client-5xx", .on = ON_500,
     .words = "only allows claude code|only*claude code clients|仅限*claude code",
     PERMANENT(ENDPOINT), .why = "the same, by a relay that finds no account for such a client"},
    {.name = "feature", .on = ON_401 | ON_403, .without = TRAIT_PAGE,
     .words = W_FEATURE,
     PERMANENT(ENDPOINT), .why = "this account lacks a feature; its other requests pass"},
    {.name = "feature-plan", .on = ON_REFUSED, .without = TRAIT_PAGE,
     .words = "long context*subscription|long context*plan|not*available*subscription|data policy|"
         "not enabled for your",
     PERMANENT(ENDPOINT), .why = "the same, where the words name the account's terms"},
    {.name = "feature-400", .on = ON_400 | ON_404 | ON_422, .without = TRAIT_PAGE,
     .words = W_FEATURE,
     PERMANENT(UNCLEAR), .why = "a feature that is not there: for this account, or for nobody"},

    /* -- limits */
    {.name = "limit-code", .on = ON_ANY & ~(unsigned)(ON_413 | ON_529),
     .code = "*ratelimit*|*toomanyrequests*|*toomanyrequest|flowcontrol*|*flowlimit*|"
         "*frequencylimit*|rateexceeded|*rateexceeded|requestlimit*|concurrentlimit*|"
         "*toomanyconcurrent*|*requestlimitexceeded*|*throttl*|limitrequests|"
         "resourceexhausted|*rpmexceeded|*tpmexceeded|requestbursttoofast|setlimitexceeded|"
         "limitexceeded*|provisionedthroughputexceeded*|slowdown|concurrencylimit*|"
         "*concurrencyexceeded|*concurrencylimitexceeded|requestratetoolarge|localratelimited|"
         "modelcooldown|servicetiercapacityexceeded|bandwidthlimitexceeded|code1302|code1303|"
         "code1304|code1305|code11201|code11202|code11203|code1312|code1313|statuscode1002|statuscode1039|statuscode1041|"
         "errorcode4|errorcode18|engineserverlimitexceeded",
     .but = "reached their concurrency limit",
     RATE_LIMIT(ENDPOINT), .why = "throttled, by type or code"},
    {.name = "unavailable", .on = ON_200 | ON_400 | ON_403 | ON_4XX,
     .code = "serviceunavailable*|unavailable|unavailableerror",
     TRANSIENT(ENDPOINT),
     .why = "a relay out of places; the code of 503 beats status and words"},
    {.name = "limit", .on = ON_REFUSED & ~(unsigned)(ON_413 | ON_402), .without = TRAIT_PAGE,
     .words = W_LIMIT,
     RATE_LIMIT(ENDPOINT), .why = "throttled, in words"},
    {.name = "limit-refused", .on = ON_401 | ON_403, .need = TRAIT_JSON,
     .without = TRAIT_VALIDATION | TRAIT_FIELD,
     .words = "reached*limit|limit*reached|limit exceeded|exceeded*limit|exceeds*limit|"
         "requests per hour|calls per|次数*超|达到*上限|超过*上限|超出*上限",
     .but = "prompt|input|content|message|length|size|context|token limit|tool|image|提示|输入|内容|"
         "长度|大小",
     RATE_LIMIT(ENDPOINT), .why = "a refusal that speaks of a limit is about the limit"},
    {.name = "limit-5xx", .on = ON_500, .without = TRAIT_PAGE,
     .words = W_LIMIT_PLAIN,
     .but = "check failed|failed to check|redis|internal error",
     RATE_LIMIT(ENDPOINT),
     .why = "a relay that hands on its upstream's limit as a fault of its own"},

    /* -- overload */
    {.name = "overloaded-code", .on = ON_200 | ON_500 | ON_529 | ON_4XX | ON_400,
     .code = "overloadederror|overloaded|serveroverloaded|engineoverloaded*|modeloverloaded|"
         "modelserviceoverloaded|*overloaded|*serverbusy|*systembusy|*modelbusy|*servicebusy|"
         "atcapacity|nocapacity|capacityexceeded|insufficientcapacity|code50505|code50603",
     TRANSIENT(ENDPOINT), .flags = FLAG_OVERLOADED, .why = "overloaded, by type or code"},
    {.name = "overloaded-4xx", .on = ON_400 | ON_401 | ON_403 | ON_404 | ON_4XX,
     .without = TRAIT_PAGE | TRAIT_VALIDATION | TRAIT_FIELD,
     .words = "overloaded|at capacity|high demand|is too busy|server is busy|server busy|繁忙|饱和|"
         "负载过高|过载",
     TRANSIENT(ENDPOINT), .flags = FLAG_OVERLOADED,
     .why = "overloaded, whatever refusal a relay made of it"},
    {.name = "overloaded", .on = ON_200 | ON_500 | ON_529, .without = TRAIT_PAGE,
     .words = W_BUSY,
     TRANSIENT(ENDPOINT), .flags = FLAG_OVERLOADED, .why = "overloaded, in words"},

    {.name = "maintenance", .on = ON_400 | ON_403 | ON_404 | ON_4XX,
     .without = TRAIT_PAGE | TRAIT_VALIDATION | TRAIT_FIELD,
     .words = "under maintenance|in maintenance|for maintenance|维护中|正在维护|系统维护|停机维护|升级维护",
     TRANSIENT(ENDPOINT), .why = "shut for a while, whatever refusal a relay made of it"},

    /* -- faults of the server inside a 200, or with an unusual status */
    {.name = "capacity", .on = ON_4XX,
     .words = "flex tier*capacity|capacity exceeded|queue is full|queue full",
     TRANSIENT(ENDPOINT), .flags = FLAG_OVERLOADED, .why = "no place free in a cheap tier"},

    /* -- the credential, where the status is not about it */
    {.name = "key-code", .on = ON_200 | ON_400 | ON_404 | ON_422 | ON_4XX,
     .code = "authenticationerror|permissionerror|*autherror|*invalidapikey*|incorrectapikey*|"
         "*authfailed|*authenticationfailed|invalidcredential*|apikeyinvalid|apikeyexpired|"
         "apikeydisabled|apikeyserviceblocked|apikeyhttpreferrerblocked|apikeyipaddressblocked|"
         "invalidauthentication*|invalidtoken|tokenexpired|expiredtoken*|tokeninvalid|"
         "tokenrevoked|tokeninvalidated|invalidgrant|unauthorized|unauthenticated|"
         "permissiondenied|permissiondeniederror|accesstokenexpired|servicedisabled|"
         "unrecognizedclientexception|invalidsignatureexception|expiredtokenexception|"
         "missingauthenticationtoken*|incompletesignature*|invalidclienttokenid|"
         "signaturedoesnotmatch|accessdeniedexception|notauthorized|authfailure*|invalidiamtoken|"
         "oauthorgnotallowed|ipnotauthorized|unsupportedcountryregionterritory|tokennotfoundindb|"
         "expiredkey|keyexpired|missingapikey|*apikeyinvalid*|*apikeynotfound|*apikeyexpired|"
         "*apikeymissing|*keydisabled|keynotfound|keyinvalid|badapikey|wrongapikey|noapikey|"
         "invalidaccesstoken|accesstokeninvalid|loginrequired|notloggedin|unauthorised|"
         "notauthenticated|authrequired|authenticationrequired|*invalidappkey|"
         "authenticationfailed|code1000|code1001|code1002|"
         "code1003|code1004|statuscode1004|statuscode2049|errorcode110|errorcode111",
     AUTH(ENDPOINT), .why = "the credential is refused, by type or code"},
    {.name = "key", .on = ON_400 | ON_404 | ON_422 | ON_4XX, .without = TRAIT_FIELD | TRAIT_PAGE,
     .words = W_KEY,
     .but = "%tool|function|upstream*|checking|failed to check|could not check|上游",
     AUTH(ENDPOINT), .why = "the credential is refused, in words"},
    {.name = "key-odd", .on = ON_4XX, .without = TRAIT_FIELD | TRAIT_PAGE,
     .words = "^invalid token|^token expired|^token required|^unauthorized|无*权限|没有*权限|无权",
     AUTH(ENDPOINT), .why = "401 in the numbers of odd servers (498, 440)"},
    {.name = "key-200-typed", .on = ON_200, .need = TRAIT_VALIDATION,
     .without = TRAIT_FIELD | TRAIT_PAGE,
     .words = W_KEY,
     .but = "%tool|function|upstream*|checking|internal*error|failed to check|could not check|上游",
     AUTH(ENDPOINT), .why = "the credential is refused, whatever type it was given"},
    {.name = "key-200", .on = ON_200, .without = TRAIT_FIELD | TRAIT_PAGE | TRAIT_VALIDATION,
     .words = W_KEY_LOOSE,
     .but = "json|at line|position|解析|%tool|function|upstream*|checking|internal*error|failed to check|could not check|上游",
     AUTH(ENDPOINT), .why = "the credential is refused, in words"},

    {.name = "signed-too-long-ago", .on = ON_400 | ON_403,
     .code = "requestexpired|requesttimetooskewed",
     PERMANENT(ENDPOINT), .why = "a clock is wrong, perhaps ours: no word on the key"},

    /* -- the request */
    {.name = "request-too-large",
     .on = (ON_REFUSED | ON_500) & ~(unsigned)(ON_401 | ON_402 | ON_403),
     .code = "requesttoolarge|messagetoobig|requestentitytoolargeerror",
     PERMANENT(REQUEST),
     .scope = SCOPE_FEATURE, .why = "larger than the maker takes; a relay's own bound might be meant, so a second opinion"},
    {.name = "413-typed", .on = ON_413, .need = TRAIT_VALIDATION,
     PERMANENT(REQUEST), .scope = SCOPE_FEATURE, .why = "the maker's own check found it too large"},
    {.name = "413", .on = ON_413,
     PERMANENT(UNCLEAR), .scope = SCOPE_FEATURE, .why = "a size limit, perhaps only of a relay on the way"},
    {.name = "bad-200-invalid", .on = ON_200, .need = TRAIT_VALIDATION,
     PERMANENT(REQUEST), .why = "the request was checked and found wrong"},
    {.name = "bad-200-field", .on = ON_200, .need = TRAIT_FIELD,
     PERMANENT(REQUEST), .why = "the error names a member of the request"},
    {.name = "5xx-invalid-field", .on = ON_500, .need = TRAIT_FIELD,
     .type = "invalidrequesterror",
     PERMANENT(REQUEST), .why = "a relay that hands on a refusal as a fault of its own"},
    {.name = "5xx-invalid-words", .on = ON_500, .need = TRAIT_FIELD,
     .words = "validationexception|invalid_request_error|invalidrequest|invalid_argument|badrequest|"
         "bad request",
     PERMANENT(REQUEST), .why = "the same, where the refusal's type stands in the words"},
    {.name = "5xx-malformed", .on = ON_500, .without = TRAIT_PAGE,
     .words = "improperly formed request|malformed input request|image input is not supported|"
         "input*too large to process",
     PERMANENT(REQUEST), .why = "the same, of a maker with one wording for all"},
    {.name = "5xx-invalid-code", .on = ON_500,
     .code = "invalidargument|validationexception",
     PERMANENT(REQUEST), .why = "the same, from a cloud"},
    {.name = "5xx-invalid", .on = ON_500, .need = TRAIT_TEXT, .without = TRAIT_PAGE,
     .type = "invalidrequesterror",
     .but = W_HICCUP "|" W_BUSY,
     PERMANENT(REQUEST), .why = "the same, unless the words are those of a hiccup"},
    {.name = "4xx-invalid", .on = ON_4XX, .need = TRAIT_VALIDATION, .without = TRAIT_PAGE,
     .but = "stream disconnected|stream error|stream closed|timed out|timeout|connection",
     PERMANENT(REQUEST), .why = "the request was checked and found wrong, whatever the number"},
    {.name = "not-found-type", .on = ON_200,
     .code = "notfounderror|notfound",
     PERMANENT(UNCLEAR), .why = "what was asked for is not there"},

    /* -- inside a 200: transient faults */
    {.name = "empty-200", .on = ON_200, .need = TRAIT_EMPTY | TRAIT_OK,
     TRANSIENT(ENDPOINT), .why = "nothing came: a broken connection"},
    {.name = "cut-message", .on = ON_200,
     .without = TRAIT_TEXT,
     .type = "message|chatcompletion*",
     TRANSIENT(ENDPOINT), .why = "the answer itself, broken off"},
    {.name = "hiccup-code", .on = ON_200,
     .code = "apierror|servererror|internalservererror|internalerror|internal|timeouterror|"
         "timeout|serviceunavailable*|unavailable|unavailableerror|upstreamerror|badgateway|"
         "gatewaytimeout|deadlineexceeded|badresponse*|dorequestfailed|modeltimeoutexception|"
         "modelerrorexception|internalserverexception|modelstreamerrorexception|requesttimeout|"
         "statuscode1000|statuscode1001|statuscode1013|statuscode1024|statuscode1033|code1230|"
         "code1234|code1120|code1200|errorcode336100|errorcode2|connectionerror|networkerror|"
         "streamerror|emptyresponse|internalservice*|serverexception",
     TRANSIENT(ENDPOINT), .why = "the server's fault, by type or code"},
    {.name = "hiccup", .on = ON_200, .need = TRAIT_TEXT, .without = TRAIT_PAGE,
     .words = W_HICCUP,
     TRANSIENT(ENDPOINT), .why = "the server's fault, in words"},
    {.name = "5xx-inside", .on = ON_500, .need = TRAIT_OK | TRAIT_JSON,
     TRANSIENT(ENDPOINT), .why = "the error tells a number of the server's own faults"},
    {.name = "unauthorized-200", .on = ON_200, .need = TRAIT_JSON,
     .words = "^unauthorized$|^forbidden$|permission denied|no permission|access denied|无权访问|"
         "无权限|没有权限|权限不足",
     .but = "%file|document|image",
     AUTH(ENDPOINT), .why = "the words of 401 and 403"},
    {.name = "not-found-200", .on = ON_200, .need = TRAIT_JSON,
     .words = "^not found$|page not found|^route not found|^cannot post",
     PERMANENT(ENDPOINT), .why = "the words of 404 for an address"},
    {.name = "invalid-200", .on = ON_200, .need = TRAIT_JSON, .without = TRAIT_PAGE,
     .words = W_INVALID,
     PERMANENT(REQUEST), .why = "the request was found wrong, in words"},

    /* -- what a 400 or 404 means when no row above fits */
    {.name = "beta-header", .on = ON_400, .quoted = true,
     .words = "anthropic-beta|beta flag|anthropic-version|beta header",
     PERMANENT(UNCLEAR), .why = "a header of the request; versions differ"},
    {.name = "wrong-url", .on = ON_400 | ON_404 | ON_405 | ON_4XX,
     .words = "api version*not supported|unsupported api version|url error|invalid url|"
         "operation not allowed|operation*not supported|operation*does not work|"
         "plain http request was sent|http request was sent to https|no route|route not found|"
         "unknown request url|unknown url|unknown route|unknown path|cannot post|cannot get|"
         "endpoint is offline|^endpoint*not found|^api not found|^app unavailable|only supports the /|only supports /|接口不存在|路由|api*已下线|接口*已下线|接口已关闭",
     PERMANENT(ENDPOINT), .why = "the address or the kind of call does not fit this endpoint"},
    {.name = "upstream-400", .on = ON_400 | ON_422, .need = TRAIT_JSON, .without = TRAIT_VALIDATION,
     .words = "no available account|no accounts available|无可用账|暂无可用|upstream*timeout|"
         "upstream*unavailable|fetch failed|socket hang up|connection reset|connection refused|"
         "i/o timeout|deadline exceeded|do request failed|no such host|unexpected eof|broken pipe|"
         "internal server error|service unavailable|server unavailable|bad gateway|gateway timeout|"
         "degraded function|temporarily unavailable|暂时不可用|服务器繁忙|系统繁忙|服务繁忙|系统错误|服务器内部错误",
     TRANSIENT(ENDPOINT), .why = "a relay's own trouble, sent as a refusal"},
    {.name = "400-validation", .on = ON_400 | ON_422, .need = TRAIT_VALIDATION,
     PERMANENT(REQUEST), .why = "the request was checked and found wrong"},
    {.name = "400-message", .on = ON_400 | ON_422, .need = TRAIT_JSON | TRAIT_TEXT,
     PERMANENT(REQUEST),
     .why = "a refusal with a reason; likely the request's, so a second opinion"},
    {.name = "403-tool", .on = ON_403, .need = TRAIT_JSON,
     .words = "this tool|%tool*not allowed|%tool*is disabled|%tools*not allowed|%tools*disabled",
     PERMANENT(UNCLEAR), .why = "one tool is refused: requests without it pass"},
    {.name = "403-typed", .on = ON_403,
     .code = "permissiondenied*|permissionerror|authenticationerror|unauthorized*|accessdenied*|"
         "authfailure*|apikey*",
     AUTH(ENDPOINT), .why = "the type says that the right to call is missing"},
    {.name = "403-key", .on = ON_403, .need = TRAIT_JSON,
     .words = W_KEY_LOOSE,
     AUTH(ENDPOINT), .why = "the same, in words"},
    {.name = "403-prompt", .on = ON_403, .need = TRAIT_JSON,
     .words = "prompt|%input|message|content|提示词|输入|内容",
     .but = W_STANDING,
     PERMANENT(REQUEST), .why = "a refusal that has the request's words for its subject"},
    {.name = "403-validation", .on = ON_403, .need = TRAIT_JSON | TRAIT_VALIDATION | TRAIT_TEXT,
     .but = W_STANDING,
     PERMANENT(REQUEST), .why = "the request was checked and found wrong, whatever the number"},
    {.name = "403-other", .on = ON_403, .need = TRAIT_JSON | TRAIT_SENTENCE,
     .but = W_STANDING,
     PERMANENT(UNCLEAR),
     .why = "a sentence without a word on key, account or address disables nothing"},
    {.name = "404-field", .on = ON_404, .need = TRAIT_VALIDATION | TRAIT_FIELD,
     PERMANENT(REQUEST), .why = "something that the request refers to is not there"},
    {.name = "404-invalid", .on = ON_404, .need = TRAIT_VALIDATION,
     PERMANENT(UNCLEAR), .why = "something is not there: of the request or of the endpoint"},
    {.name = "404-typed", .on = ON_404, .need = TRAIT_TEXT,
     .code = "notfounderror",
     .but = "^not found$|page not found|^file not found$|path|route|url|resource not found|endpoint",
     PERMANENT(UNCLEAR), .flags = FLAG_MODEL,
     .why = "a maker's not-found: of what the request names, most often the model"},
};

const size_t classify_rules_n = COUNT_OF(classify_rules);

/* ---- what a status means alone */

#define ROW(from, to, cls, whose, name) {from, to, OUTCOME_##cls, FAULT_##whose, 0, name}

const struct classify_status classify_statuses[] = {
    ROW(200, 299, UNKNOWN, ENDPOINT, "2xx"),
    ROW(300, 399, UNKNOWN, ENDPOINT, "3xx"),
    ROW(400, 400, PERMANENT, UNCLEAR, "400"),
    ROW(401, 401, AUTH, ENDPOINT, "401"),
    {402, 402, OUTCOME_RATE_LIMIT, FAULT_ENDPOINT, FLAG_MONEY, "402"},
    ROW(403, 403, AUTH, ENDPOINT, "403"),
    ROW(404, 405, PERMANENT, ENDPOINT, "404"),
    ROW(406, 406, PERMANENT, UNCLEAR, "406"),
    ROW(407, 407, UNKNOWN, UNCLEAR, "407-proxy"),
    ROW(408, 408, TRANSIENT, ENDPOINT, "408"),
    ROW(409, 409, TRANSIENT, UNCLEAR, "409"),
    ROW(410, 410, PERMANENT, ENDPOINT, "410"),
    ROW(411, 417, PERMANENT, UNCLEAR, "411-417"),
    ROW(420, 420, RATE_LIMIT, ENDPOINT, "420-calm"),
    ROW(421, 421, TRANSIENT, ENDPOINT, "421"),
    ROW(422, 422, PERMANENT, REQUEST, "422"),
    ROW(423, 423, TRANSIENT, UNCLEAR, "423"),
    ROW(424, 425, TRANSIENT, ENDPOINT, "424-425"),
    ROW(426, 426, UNKNOWN, ENDPOINT, "426"),
    ROW(428, 428, PERMANENT, UNCLEAR, "428"),
    ROW(429, 429, RATE_LIMIT, ENDPOINT, "429"),
    ROW(431, 431, PERMANENT, REQUEST, "431"),
    ROW(451, 451, PERMANENT, ENDPOINT, "451"),
    ROW(463, 464, PERMANENT, ENDPOINT, "463-464-balancer"),
    ROW(494, 494, PERMANENT, REQUEST, "494-header-too-large"),
    ROW(495, 497, PERMANENT, ENDPOINT, "495-497-tls"),
    ROW(499, 499, TRANSIENT, UNCLEAR, "499-closed"),
    ROW(400, 499, UNKNOWN, UNCLEAR, "4xx"),
    ROW(501, 501, PERMANENT, ENDPOINT, "501"),
    ROW(505, 505, PERMANENT, ENDPOINT, "505"),
    ROW(509, 509, RATE_LIMIT, ENDPOINT, "509-bandwidth"),
    ROW(511, 511, UNKNOWN, ENDPOINT, "511"),
    {529, 529, OUTCOME_TRANSIENT, FAULT_ENDPOINT, FLAG_OVERLOADED, "529"},
    ROW(500, 599, TRANSIENT, ENDPOINT, "5xx"),
    ROW(0, UINT32_MAX, UNKNOWN, ENDPOINT, "other"),
};

/* ---- money */

const char classify_spent_words[] = W_SPENT, classify_unpaid_code[] = UNPAID_CODE,
           classify_unpaid_words[] = W_UNPAID, classify_unpaid_but[] = W_UNPAID_BUT;
