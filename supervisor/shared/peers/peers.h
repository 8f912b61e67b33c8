/* peers: what this host shares with the other hosts of its cluster, and what it makes of what they
 * say. It speaks with the link (TO_LINK, FROM_LINK) through a callback, and turns what comes into
 * the same wishes and reports that workers send. Serving never waits for it: while the engine is
 * away all stays as it is on one host, and is merged when it is back.
 *
 * peers.c: the session; peers_hosts.c: the hosts; peers_state.c: what becomes of the engine, and
 * its figures; peers_bindings.c: which conversation is where; peers_groups.c: states of endpoints;
 * peers_cells.c: of their cells; peers_marks.c: marks; peers_leases.c: who may try an endpoint;
 * peers_places.c: max_concurrent over all hosts. */
#ifndef QCC_SUPERVISOR_SHARED_PEERS_PEERS_H
#define QCC_SUPERVISOR_SHARED_PEERS_PEERS_H

#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "common/policy/hist.h"
#include "common/policy/shared/shared_block.h"
#include "common/policy/shared/shared_clock.h"
#include "common/policy/shared/shared_group.h"
#include "common/policy/shared/shared_hosts.h"
#include "common/policy/shared/shared_line.h"
#include "common/policy/shared/shared_log.h"
#include "common/policy/shared/shared_state.h"
#include "common/secret/cluster_keys.h"
#include "common/secret/cluster_name.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"

/* Sends a message to the link. False: no process runs. */
typedef bool peers_send(void *arg, chan_put_fn *put, const void *m);

struct peers_env {
    struct health *health;
    struct bindings *bindings;
    struct marked *marks;
    struct events *events;
    peers_send *send;
    void *arg;
};

/* A trial for which no request comes goes back after so long. */
enum { PEERS_UNUSED_MS = 2000 };

/* Round trips that quantiles are made of. */
enum { PEERS_RTT = 256 };

/* What became of a question for a lease. */
enum peers_lent {
    PEERS_GRANTED,
    PEERS_BUSY,  /* another host has it */
    PEERS_EARLY, /* it is not due by the engine's clock */
    PEERS_MOVED, /* the state that it was for is another by now */
    PEERS_AWAY,  /* no answer came */
    PEERS_LENT__COUNT
};

/* What metrics and the log tell of the cluster; counts since the supervisor's start. */
struct peers_figures {
    uint32_t rtt_us[PEERS_RTT]; /* the last ones, a ring */
    uint64_t rtts;              /* in all */
    uint64_t rtt_hist[HIST_BUCKETS], rtt_sum_us;
    uint64_t reconnects, stale;
    uint64_t resyncs[SHARED_RESYNC__COUNT];     /* by reason */
    uint64_t leases[2][PEERS_LENT__COUNT];      /* trials, verifications; by what became of them */
    int64_t lost_ms;                            /* since when the engine is away, CLOCK_BOOTTIME */
    uint64_t groups_in, groups_out, binds_away; /* taken over since the join; told while away */
    enum shared_resync resync;                  /* under way; NONE: not so */
    uint64_t read_bindings;                     /* with it */
};

/* Another host that is there, as the log has told. */
struct peers_present {
    char id[SHARED_HOST_ID + 1], name[SHARED_WORD_MAX + 1];
};

/* A lease that this host has, or has asked for. */
struct peers_lease {
    uint64_t id;     /* of the question under way; 0: none */
    uint64_t fence;  /* 0: not held */
    int64_t got_ms;  /* since when, CLOCK_BOOTTIME */
    int64_t wait_ms; /* not asked for before; CLOCK_BOOTTIME */
    bool used;       /* something was begun with it */
    bool turned;     /* this host has waited for its turn to ask */
    bool ending;     /* given back; held until the engine has said so, as the verdict is */
    char by[SHARED_HOST_ID + 1]; /* who has it, as the engine tells; "": nobody */
};

/* The last group of a kind that was told. What comes of that kind meanwhile is older than it. */
struct peers_told {
    uint64_t value; /* hash of it */
    bool verdict; /* it moves what was in force; else a report, which does nothing where another was
                     first */
    int64_t at_ms; /* CLOCK_BOOTTIME; 0: it is answered */
};

/* A cell of an endpoint, of which something was told or heard. */
struct peers_cell {
    char family[MODEL_NAME_MAX + 1];
    uint64_t of; /* H of its groups */
    char sealed[CLUSTER_SEALED_MAX + 1];
    struct shared_view sent; /* as was last told, or taken over */
    int64_t stamp_b;         /* of an open breaker as the engine has it; 0: it has none */
    struct peers_told told[SHARED__COUNT];
    struct peers_lease trial;
};

/* An endpoint, as this host and the engine know it. In the order of the configuration. */
struct peers_endpoint {
    char cid[8];
    uint32_t id;              /* as bindings have it */
    char name[9];             /* its id in hex */
    struct shared_view sent;  /* as was last told, or taken over */
    struct peers_cell *cells; /* owned */
    uint32_t ncells;
    /* of breaker, queue entry and key that the engine has in force; 0: it has none */
    int64_t stamp_b, stamp_q, stamp_k;
    int64_t reset_ms; /* the last reset, by the engine's clock */
    /* an operator's last word, spoken here or taken over, by the engine's clock; 0: there is none
     */
    int64_t word_ms;
    enum shared_word word;
    bool word_here; /* it holds on this host alone */
    struct peers_told told[SHARED__COUNT];
    struct peers_lease trial, verify;
    struct shared_block block; /* of max_concurrent; limit 0: none */
    uint64_t call;             /* id of the call for places under way */
    uint32_t stated;           /* places in use that the last join stated */
    uint32_t idle;             /* and idle ones that this host still had */
    bool idle_kept;            /* the engine has them for it */
    uint32_t called;           /* places that it asked for */
    uint32_t all;              /* places that all hosts have, as of the last answer */
    uint32_t hosts;            /* that have places, likewise */
    unsigned not_followed;     /* 1 << enum shared_kind: what another host has seen is not taken
                                  over */
    int64_t model_ms;          /* when the model last served was told; 0: never */
};

struct peers {
    struct peers_env env;
    bool on;
    unsigned shares; /* enum conf_share */
    bool binds;      /* the workers hash conversations with the common key */
    int64_t lease_ms, ttl_ms, tell_ms;
    struct conf *conf; /* a reference; NULL: none yet */
    struct cluster_keys keys;
    char host[SHARED_HOST_ID + 1], name[SHARED_WORD_MAX + 1], digest[9];
    uint64_t conn;
    struct peers_endpoint *v;
    size_t n;
    uint32_t *by_cid, *by_id;        /* indices of v */
    struct shared_hosts hosts, beat; /* known; those of the beat that is being read */
    struct peers_present present[SHARED_HOSTS_MAX];
    size_t npresent;
    uint32_t seen; /* hosts last seen, also by an earlier run; 0: none */
    struct shared_log at;
    struct shared_clock clock;
    bool joined;         /* a session of this process has begun */
    int64_t joined_ms;   /* when its last session began, CLOCK_BOOTTIME */
    int64_t first_ms;    /* the first one of this id, likewise; 0: none yet */
    int64_t defended_ms; /* when this host kept its id against another, likewise; 0: never */
    bool anew;           /* the link must be started anew, with another id; the caller clears it */
    bool linked;         /* the link has its configuration */
    bool again;          /* the link was started: what was told and not answered is told again */
    bool up;
    enum link_state state;
    int64_t since_ms;                         /* since when, CLOCK_REALTIME */
    struct shared_line said, damaged, unread; /* of the state; of keys, of groups of the engine */
    bool warned;                              /* of the engine's maxmemory-policy */
    char why[257], engine[33], policy[33];
    int64_t beat_ms;    /* when the last beat that was answered had been sent, CLOCK_BOOTTIME */
    int64_t meet_ms;    /* the join waits until then for workers that return idle places; 0: no */
    int64_t joining_ms; /* a join that states the places in use is under way until then; 0: no */
    bool first;         /* as of the last turn: its first session may begin any moment */
    bool once;          /* workers return a place as soon as it is idle */
    uint64_t queue, dropped, lag_ms;
    uint64_t bindings; /* as the link was told */
    struct peers_figures figures;
    struct buf binds_out; /* struct link_bind, not sent yet */
    int64_t binds_ms;     /* since when; CLOCK_BOOTTIME */
    bool push;            /* bindings that were last used here are to be sent again */
    uint32_t push_at;
    int64_t push_ms; /* when its next piece is due */
    uint64_t asked;  /* the last id of a question */
    bool alone;      /* as of the last turn: see peers_alone */
    int64_t on_ms;   /* since when it is on, CLOCK_BOOTTIME */
    int64_t link_ms; /* when its first link was started, likewise; 0: not yet */
    bool applying;   /* a state of another host is being taken over */
    bool suspect;    /* all endpoints fail from here by transport: what was only seen is not told */
    bool marks_due;  /* all marks are to be told, from marks_at on */
    uint32_t marks_at;
};

/* Makes one that shares nothing. env is copied. */
void peers_init(struct peers *p, const struct peers_env *env);
void peers_fini(struct peers *p);

/* Takes a configuration into use. secret: with which the workers hash conversations. host: the id
 * of this host. True: the link must be started anew with it. */
bool peers_conf(struct peers *p, struct conf *c, struct str secret, const char *host) MUST_CHECK;

/* The link runs: it is given its configuration. */
void peers_link_started(struct peers *p);
/* The link has ended. told: it was asked to; else the engine counts as lost. */
void peers_link_ended(struct peers *p, bool told);
/* A frame of the link. False: it violates the protocol. */
bool peers_on_frame(struct peers *p, struct ipc_frame *f, struct err *e) MUST_CHECK;

/* Sends what waits. Called once a turn of the loop. */
void peers_turn(struct peers *p, int64_t now_ms);
/* When peers_turn must be called at the latest; INT64_MAX: not before the next event. */
int64_t peers_next(const struct peers *p);

/* The time within which `permille` of the last round trips were, in us; -1: there was none. */
int64_t peers_rtt(const struct peers *p, unsigned permille);

/* The name of the host that has the k-th lease of the endpoint i (peers_lease_at); NULL: none has.
 */
const char *peers_holder(const struct peers *p, size_t i, size_t k);

/* Hosts whose configuration is not this one's. */
size_t peers_differing(const struct peers *p);

/* Whether the engine may drop what hosts share, by its maxmemory-policy. */
bool peers_evicting(const struct peers *p);

/* The state in a word: "off", "connecting", "up", "lost", "full", "refused". */
const char *peers_state_text(const struct peers *p);

/* A bindings_changed. */
void peers_binding_changed(void *peers, const uint64_t key[2], uint32_t from, uint32_t to,
                           int64_t used_ms);

/* A health_permit: whether this host may lend a trial, or begin a verification, now. */
bool peers_permit(void *peers, const struct health_endpoint *e, const char *family,
                  bool verification, int64_t now_ms);

/* An operator has acted on an endpoint. here: what follows from it holds on this host alone. */
void peers_operator(struct peers *p, struct health_endpoint *e, enum ep_action a, bool here,
                    int64_t now_ms);
/* The same for the reset of one cell. */
void peers_operator_cell(struct peers *p, struct health_endpoint *e, struct str family, bool here,
                         int64_t now_ms);
/* An operator ends the mark of that name, on all hosts; called before it ends here. */
void peers_operator_mark(struct peers *p, const struct health_endpoint *e, struct str name,
                         int64_t now_ms);

/* A marked_told. */
void peers_mark_changed(void *peers, const struct mark *m, enum marks_news news);

/* ---- for the files of the peers */

/* The endpoint by an id; NULL: it is not configured here. */
struct peers_endpoint *peers_by_cid(const struct peers *p, struct str cid);
struct peers_endpoint *peers_by_id(const struct peers *p, uint32_t id);
/* A time of CLOCK_BOOTTIME by the engine's clock; while that is not known by the wall clock. */
int64_t peers_engine(const struct peers *p, int64_t boot_ms);
/* And back. */
int64_t peers_boot(const struct peers *p, int64_t engine_ms);
/* The engine is in that state, for that reason. */
void peers_enter(struct peers *p, enum link_state state, struct str why);
/* What is held by a session ends with it, unless the next one restates it. */
void peers_lost(struct peers *p);
void peers_on_state(struct peers *p, const struct ipc_link_state *m);
/* The engine has lost what a key held. */
void peers_on_damaged(struct peers *p, const struct ipc_link_damaged *m, int64_t now_ms);
/* What is known of the endpoint is to be told anew: the engine has lost it. */
void peers_endpoint_anew(struct peers *p, struct peers_endpoint *pe);
/* Takes the hosts of a whole beat over, and tells who has come or gone. A host that does not beat
 * is not gone before this one's session is a lease old: it may have lost the engine, too. */
void peers_hosts_beat(struct peers *p, int64_t now_ms);
/* All is read anew. */
void peers_resync(struct peers *p, enum shared_resync why);
/* Keeps who has a lease, as the engine has it. False: the group is no lease. */
bool peers_on_held(struct peers_endpoint *pe, const struct ipc_link_group *m);

/* Sends to the link. False: no process runs. */
bool peers_say(struct peers *p, chan_put_fn *put, const void *m);

/* Whether the engine has been away for a lease, or was not found within one: other hosts may have
 * got what this one had, and it is on its own. */
bool peers_alone(const struct peers *p, int64_t now_ms);
/* Whether a group of that kind, of the endpoint or of a cell of it (c), is to be told, or was and
 * the engine has not said yet what it has. */
bool peers_unanswered(const struct peers *p, const struct peers_endpoint *pe,
                      const struct health_endpoint *e, const struct peers_cell *c,
                      enum shared_kind kind, int64_t now_ms);

void peers_on_bound(struct peers *p, const struct ipc_link_bound *m, int64_t now_ms);
void peers_bindings_turn(struct peers *p, int64_t now_ms);
void peers_on_group(struct peers *p, const struct ipc_link_group *m, int64_t now_ms);
void peers_groups_turn(struct peers *p, int64_t now_ms);
/* A session has begun: what no answer came for is told again, if the link is another. */
void peers_groups_joined(struct peers *p, int64_t now_ms);
/* Tells of a group. fence: under which it is a verdict; 0: it is none. False: no process runs. */
bool peers_tell(struct peers *p, const struct peers_endpoint *pe, const struct shared_group *g,
                char how, uint64_t fence);
/* Tells what has changed of the endpoint, or of a cell of it, between what was sent (*sent) and
 * now, which *sent is then, but for what is not to be told. */
void peers_tell_changes(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                        struct peers_cell *c, struct shared_view *sent,
                        const struct shared_view *now, int64_t now_ms);
/* Moves the times of a group to the engine's clock, or from it. */
void peers_move(const struct peers *p, struct shared_group *g,
                int64_t (*move)(const struct peers *, int64_t));

/* The peers' endpoint of one of health's; NULL: the cluster is off. */
struct peers_endpoint *peers_of(const struct peers *p, const struct health_endpoint *e);
/* The cell of that family; NULL: nothing was told or heard of it. Valid until one is made or
 * forgotten. */
struct peers_cell *peers_cell_find(const struct peers_endpoint *pe, struct str family);
/* The same by the H of its groups. */
struct peers_cell *peers_cell_of(const struct peers_endpoint *pe, uint64_t of);
/* Tells what has changed of the cells of an endpoint. */
void peers_cells_tell(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                      int64_t now_ms);
/* Keeps the stamp of what the engine has of a cell's breaker. */
void peers_cell_stamp(struct peers *p, struct peers_endpoint *pe, const struct shared_group *g,
                      int64_t stamp);
/* Takes a group of a cell over; its times are of the engine's clock. own: the answer to what was
 * told here. */
void peers_cell_take(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                     struct shared_group *g, bool own, int64_t now_ms);
/* All is to be told anew: the engine has lost it. */
void peers_cells_anew(struct peers_endpoint *pe);
void peers_cells_free(struct peers_endpoint *pe);

void peers_mark_take(struct peers *p, struct health_endpoint *e, const struct shared_group *g,
                     int64_t now_ms);
void peers_marks_turn(struct peers *p, int64_t now_ms);

/* The k-th lease of an endpoint: 0 the trial of its breaker, 1 its verification, then the trials of
 * its cells; NULL: there are no more. kind, where it is not NULL: as the engine names it. */
struct peers_lease *peers_lease_at(struct peers_endpoint *pe, size_t k,
                                   char kind[SHARED_NAME_MAX + 1]);
void peers_on_lent(struct peers *p, const struct ipc_link_lent *m, int64_t now_ms);
void peers_on_leased(struct peers *p, const struct ipc_link_leased *m);
/* A session has begun, in which the leases were restated. kept: whether each still was this host's,
 * '1' or '0', in the order of the endpoints, among those of places. */
void peers_leases_joined(struct peers *p, struct str kept, int64_t now_ms);
/* Then, once the verdicts were told again: leases that were being given back are given back again.
 * A lease that ended before its verdict came would be another host's, for what has been tried. */
void peers_leases_end(struct peers *p);
void peers_leases_turn(struct peers *p, int64_t now_ms);
/* When peers_leases_turn must be called at the latest. */
int64_t peers_leases_next(const struct peers *p);
void peers_on_got(struct peers *p, const struct ipc_link_got *m, int64_t now_ms);
void peers_on_wanted(struct peers *p, const struct ipc_link_wanted *m, int64_t now_ms);
/* A session is to begin. Where others may have what this host had, idle places are taken back from
 * the workers before those in use are stated. True: the workers have not answered yet. */
bool peers_places_meet(struct peers *p, int64_t now_ms);
/* Whether workers have not answered that yet. */
bool peers_places_due(const struct peers *p);
/* A session begins, in which the places in use are stated: no more are lent until it has. */
void peers_places_join(struct peers *p, int64_t now_ms);
/* The session has not begun. */
void peers_places_not_joined(struct peers *p);
/* Keeps whether the engine still has the idle places that were stated. at: the place of the
 * endpoint's places in kept, as of peers_leases_joined. Gives how many there are of them. */
size_t peers_places_kept(struct peers_endpoint *pe, struct str kept, size_t at);
/* When peers_places_turn must be called at the latest, but for the blocks. */
int64_t peers_places_next(const struct peers *p);
/* A session has begun, in which the places in use were stated. */
void peers_places_joined(struct peers *p, int64_t now_ms);
void peers_places_turn(struct peers *p, int64_t now_ms);
/* The cluster is off, or does not share places. */
void peers_places_off(struct peers *p);
/* The places of an endpoint that are lent to workers; 0: it has no limit. */
uint32_t peers_places_lent(const struct peers *p, size_t i);

#endif
