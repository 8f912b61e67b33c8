# QCC. `make` builds, `make run` serves, `make test` tests; see README.md.
#
#   SAN=1   AddressSanitizer and UBSan (build/san instead of build/release)
#   CONF=   the configuration `make run` serves (default conf/demo.yaml)
#   T=      the part of the tests that `make test` runs (tests/run.sh)
#   ARCH=   `make deb` and `make image`: of that machine (arm64; default: this one's)
#   WERROR= builds although a compiler warns (packages: a newer one must not stop them)

CC      ?= cc
SAN     ?= 0
PREFIX  ?= /usr/local
DESTDIR ?=
ZSHDIR  ?= site-functions
CONF    ?= conf/demo.yaml
VERSION := 1.0.0-dev

ifeq ($(SAN),1)
B       := build/san
OPT     := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDOPT   := -fsanitize=address,undefined
else
B       := build/release
OPT     := -O2 -flto=auto -ffunction-sections -fdata-sections -D_FORTIFY_SOURCE=2 \
           -fstack-protector-strong -fstack-clash-protection
LDOPT   := -flto=auto -O2 -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack
endif

WERROR  ?= -Werror
WARN    := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wswitch-enum -Wconversion -Wno-sign-conversion \
           -Wformat=2 -Wvla $(WERROR)
CFLAGS  ?= -g
QFLAGS   = -std=gnu11 $(WARN) $(OPT) -fPIE -MMD -MP -D_GNU_SOURCE -DQCC_VERSION='"$(VERSION)"'
QLDFLAGS = -pie $(LDOPT) -Wl,--as-needed

# ---- libraries, each only for the part that may know it
PKG     := pkg-config
MSGPACK := $(shell $(PKG) --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
LIBEV   := $(shell $(PKG) --cflags libev 2>/dev/null)

CF_common     := $(shell $(PKG) --cflags $(MSGPACK) libcrypto 2>/dev/null)
LL_common     := $(shell $(PKG) --libs $(MSGPACK) libcrypto 2>/dev/null)
CF_supervisor := $(CF_common) $(LIBEV) $(shell $(PKG) --cflags yaml-0.1 2>/dev/null)
LL_supervisor := $(LL_common) $(shell $(PKG) --libs yaml-0.1 2>/dev/null) -lev -lm
CF_qccctl     := $(CF_common) $(shell $(PKG) --cflags jansson 2>/dev/null)
LL_qccctl     := $(LL_common) $(shell $(PKG) --libs jansson 2>/dev/null) -lm
CF_recorder   := $(CF_common) $(shell $(PKG) --cflags sqlite3 libseccomp 2>/dev/null)
LL_recorder   := $(LL_common) $(shell $(PKG) --libs sqlite3 libseccomp 2>/dev/null) -lm
CF_link       := $(CF_common) $(LIBEV) $(shell $(PKG) --cflags openssl libseccomp 2>/dev/null)
LL_link       := $(LL_common) $(shell $(PKG) --libs hiredis openssl libseccomp 2>/dev/null) -lev -lm
CF_worker     := $(CF_common) $(LIBEV) $(shell $(PKG) --cflags libcurl openssl jansson libseccomp zlib 2>/dev/null)
# libcurl is loaded when it is needed (worker/net/dial_curl.h)
LL_worker     := $(LL_common) $(shell $(PKG) --libs openssl jansson libseccomp zlib 2>/dev/null) -lev -lm -ldl

# llhttp: the system's library, or Debian's sources (package node-llhttp), compiled as they are.
ifeq ($(shell $(PKG) --exists libllhttp 2>/dev/null && echo 1),1)
CF_worker  += $(shell $(PKG) --cflags libllhttp)
LL_worker  += $(shell $(PKG) --libs libllhttp)
LLHTTP_OBJ :=
else
LLHTTP_DIR := /usr/share/llhttp
CF_worker  += -isystem /usr/share/include/llhttp
LLHTTP_OBJ := $(addprefix $B/llhttp/,api.o http.o llhttp.o)
endif

# ---- sources
src        = $(sort $(shell find $1 -name '*.c' 2>/dev/null))
obj        = $(patsubst %.c,$B/%.o,$1)
COMMON    := $(call src,common)
SUPERVISOR:= $(filter-out supervisor/qccctl/% supervisor/recorder/% supervisor/link/%,$(call src,supervisor))
QCCCTL    := $(call src,supervisor/qccctl)
RECORDER  := $(call src,supervisor/recorder)
LINK      := $(call src,supervisor/link)
WORKER    := $(call src,worker)
FAKE      := $(call src,tests/fake_upstream tests/net)
LOADGEN   := $(call src,tests/bench/load tests/net)
UNIT      := $(sort $(shell find tests/unit -name 'test_*.c'))
FUZZ      := $(wildcard tests/fuzz/fuzz_*.c)

BIN_SUP   := $B/qcc-supervisor
BIN_WKR   := $B/qcc-worker
BIN_REC   := $B/qcc-recorder
BIN_LINK  := $B/qcc-link
BIN_CTL   := $B/qccctl
BIN_FAKE  := $B/fake_upstream
BIN_LOAD  := $B/bench/load
BIN_UNIT  := $(patsubst tests/unit/%.c,$B/unit/%,$(UNIT))
BIN_REPLAY:= $(patsubst tests/fuzz/%.c,$B/replay/%,$(FUZZ))
BIN_FUZZ  := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ))

.PHONY: all objs run cluster-demo test test-bins test-clients test-web bench board drill soak faults chaos hosts lint fuzz install clean \
        deps rooms man deb rpm image test-package test-image test-fresh version
.DELETE_ON_ERROR:

all: $(BIN_SUP) $(BIN_WKR) $(BIN_REC) $(BIN_LINK) $(BIN_CTL)

# ---- compiling: every part sees, through its view, only the folders it may know
LOOK_common     := common
LOOK_supervisor := common supervisor
LOOK_qccctl     := common supervisor/qccctl
LOOK_recorder   := common supervisor/recorder
LOOK_link       := common supervisor/link
LOOK_worker     := common worker
LOOK_tests      := common supervisor worker tests

$B/view/%:
	@for d in $(LOOK_$*); do mkdir -p $@/$$(dirname $$d) && ln -sfn $(CURDIR)/$$d $@/$$d; done

define part
$$(call obj,$2): $B/%.o: %.c | $B/view/$1
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(QFLAGS) $$(CF_$1) -I$B/view/$1 -c $$< -o $$@
endef
$(eval $(call part,common,$(COMMON)))
$(eval $(call part,supervisor,$(SUPERVISOR)))
$(eval $(call part,qccctl,$(QCCCTL)))
$(eval $(call part,recorder,$(RECORDER)))
$(eval $(call part,link,$(LINK)))
$(eval $(call part,worker,$(WORKER)))

# The scripts that run in the engine are built into the link: each becomes one C text.
LUA := $(wildcard supervisor/link/lua/*.lua)
$B/gen/link_lua.inc: $(LUA)
	@mkdir -p $(@D)
	for f in $(LUA); do \
	    printf 'static const char lua_%s[] =\n' "$$(basename $$f .lua)"; \
	    sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $$f; echo ';'; done >$@
$B/supervisor/link/script.o: QFLAGS += -I$B/gen
$B/supervisor/link/script.o: $B/gen/link_lua.inc

# Shell completion is built into qccctl: a script becomes one C text.
$B/gen/completion_bash.inc: packaging/completion/qccctl.bash
$B/gen/completion_zsh.inc: packaging/completion/_qccctl
$B/gen/completion_%.inc:
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@
$B/supervisor/qccctl/cmd/completion.o: QFLAGS += -I$B/gen
$B/supervisor/qccctl/cmd/completion.o: | $B/gen/completion_bash.inc $B/gen/completion_zsh.inc

# The dashboard is built into the worker: its files bundled, plain and gzipped, in an object of their own. The folders
# stand for files that went.
DASHBOARD := $(wildcard worker/admin/dashboard/*.* worker/admin/dashboard/*/*.*)
$B/gen/dashboard.S: worker/admin/embed.sh worker/admin/bundle.awk worker/admin/dashboard worker/admin/dashboard/lang $(DASHBOARD)
	worker/admin/embed.sh $B/gen $(DASHBOARD)
$B/gen/dashboard.o: $B/gen/dashboard.S
	$(CC) -c $< -o $@
$B/worker/admin/assets.o: QFLAGS += -I$B/gen
build/fuzz/obj/worker/admin/assets.o: F_FLAGS += -I$B/gen
$B/worker/admin/assets.o build/fuzz/obj/worker/admin/assets.o: $B/gen/dashboard.S

$B/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(OPT) -fPIE -isystem /usr/share/include/llhttp -c $< -o $@

# Archives are thin and without symbol trouble under LTO: objects are named, not searched for.
O_COMMON     := $(call obj,$(COMMON))
O_SUPERVISOR := $(call obj,$(filter-out supervisor/main.c,$(SUPERVISOR)))
O_QCCCTL     := $(call obj,$(filter-out supervisor/qccctl/main.c,$(QCCCTL)))
O_RECORDER   := $(call obj,$(filter-out supervisor/recorder/main.c,$(RECORDER)))
O_LINK       := $(call obj,$(filter-out supervisor/link/main.c,$(LINK)))
O_WORKER     := $(call obj,$(filter-out worker/main.c,$(WORKER))) $B/gen/dashboard.o $(LLHTTP_OBJ)

$(BIN_SUP): $B/supervisor/main.o $(O_SUPERVISOR) $(O_COMMON)
	$(CC) $(LDFLAGS) $(QLDFLAGS) $^ $(LL_supervisor) -o $@
$(BIN_WKR): $B/worker/main.o $(O_WORKER) $(O_COMMON)
	$(CC) $(LDFLAGS) $(QLDFLAGS) $^ $(LL_worker) -o $@
$(BIN_REC): $B/supervisor/recorder/main.o $(O_RECORDER) $(O_COMMON)
	$(CC) $(LDFLAGS) $(QLDFLAGS) $^ $(LL_recorder) -o $@
$(BIN_LINK): $B/supervisor/link/main.o $(O_LINK) $(O_COMMON)
	$(CC) $(LDFLAGS) $(QLDFLAGS) $^ $(LL_link) -o $@
$(BIN_CTL): $B/supervisor/qccctl/main.o $(O_QCCCTL) $(O_COMMON)
	$(CC) $(LDFLAGS) $(QLDFLAGS) $^ $(LL_qccctl) -o $@

# ---- what tests need
T_FLAGS = $(CPPFLAGS) $(CFLAGS) $(QFLAGS) -I$B/view/tests

$(BIN_FAKE): $(FAKE) $(wildcard tests/fake_upstream/*.h tests/fake_upstream/*/*.h tests/net/*.h) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_worker) $(filter %.c,$^) $(O_COMMON) $(QLDFLAGS) $(LL_worker) -o $@
$(BIN_LOAD): $(LOADGEN) $(wildcard tests/bench/load/*.h tests/net/*.h) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_worker) $(filter %.c,$^) $(O_COMMON) $(QLDFLAGS) $(LL_worker) -o $@
$B/unit/common/%: tests/unit/common/%.c $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_common) $< $(O_COMMON) $(QLDFLAGS) $(LL_common) -lcmocka -lm -o $@
$B/unit/supervisor/%: tests/unit/supervisor/%.c $(O_SUPERVISOR) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_supervisor) $< $(O_SUPERVISOR) $(O_COMMON) $(QLDFLAGS) $(LL_supervisor) -lcmocka -o $@
$B/unit/supervisor/qccctl/%: tests/unit/supervisor/qccctl/%.c $(O_QCCCTL) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_qccctl) $< $(O_QCCCTL) $(O_COMMON) $(QLDFLAGS) $(LL_qccctl) -lcmocka -o $@
$B/unit/supervisor/recorder/%: tests/unit/supervisor/recorder/%.c $(O_RECORDER) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_recorder) $< $(O_RECORDER) $(O_COMMON) $(QLDFLAGS) $(LL_recorder) -lcmocka -o $@
$B/unit/supervisor/link/%: tests/unit/supervisor/link/%.c $(O_LINK) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_link) $< $(O_LINK) $(O_COMMON) $(QLDFLAGS) $(LL_link) -lcmocka -o $@
$B/unit/worker/%: tests/unit/worker/%.c $(O_WORKER) $(O_COMMON) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_worker) $< $(O_WORKER) $(O_COMMON) $(QLDFLAGS) $(LL_worker) -lcmocka -o $@
# A fuzz target links everything: both sides' pure parsers, the reader of YAML, and of the recorder what is pure.
FUZZ_REC := $(addprefix supervisor/recorder/,tables/trail.c tables/endpoint_names.c ask/zone.c)
$B/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(O_SUPERVISOR) $(O_WORKER) $(O_COMMON) $(call obj,$(FUZZ_REC)) | $B/view/tests
	@mkdir -p $(@D)
	$(CC) $(T_FLAGS) $(CF_worker) $(CF_supervisor) $(filter tests/%.c,$^) $(filter %.o,$^) $(QLDFLAGS) \
	    $(LL_worker) $(LL_supervisor) -o $@
F_SRC   := $(filter-out supervisor/main.c worker/main.c,$(COMMON) $(SUPERVISOR) $(WORKER)) $(FUZZ_REC)
F_OBJ   := $(patsubst %.c,build/fuzz/obj/%.o,$(F_SRC)) $B/gen/dashboard.o \
           $(patsubst $B/llhttp/%.o,build/fuzz/llhttp/%.o,$(LLHTTP_OBJ))
F_FLAGS := -std=gnu11 -g -O1 -D_GNU_SOURCE -DQCC_VERSION='"fuzz"' -fsanitize=fuzzer-no-link,address,undefined
# kept: every target links them all
.SECONDARY: $(F_OBJ)
build/fuzz/obj/%.o: %.c | $B/view/tests
	@mkdir -p $(@D)
	clang $(F_FLAGS) $(CF_worker) $(CF_supervisor) -I$B/view/tests -MMD -MP -c $< -o $@
build/fuzz/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	clang $(F_FLAGS) -w $(CF_worker) -c $< -o $@
build/fuzz/%: tests/fuzz/%.c $(F_OBJ) | $B/view/tests
	@mkdir -p $(@D)
	clang $(F_FLAGS) -fsanitize=fuzzer $(CF_worker) $(CF_supervisor) -I$B/view/tests $(filter %.c %.o,$^) \
	    $(LL_worker) $(LL_supervisor) -o $@

test-bins: all $(BIN_FAKE) $(BIN_LOAD) $(BIN_UNIT) $(BIN_REPLAY)

# All objects, linked to nothing: what the direction checks of `make lint` look at.
objs: $(call obj,$(COMMON) $(SUPERVISOR) $(QCCCTL) $(RECORDER) $(LINK) $(WORKER))

# ---- what people type. The flags above were read before anything could be installed: what
# installs comes first, then a make of its own that reads them again.
SUBMAKE = $(MAKE) --no-print-directory -j"$$(nproc)"

deps:
	@packaging/deps.sh

run:
	@packaging/deps.sh build run
	@[ -x $B/qcc-supervisor ] || echo 'run: builds QCC first, which takes a minute or two'
	@$(SUBMAKE) -s all $(BIN_FAKE)
	@packaging/run.sh $B $(CONF)

# Two QCC that share state through a redis-server, on one machine.
cluster-demo:
	@packaging/deps.sh build run cluster
	@$(SUBMAKE) -s all $(BIN_FAKE)
	@packaging/cluster-demo.sh $B

test:
	@tests/run.sh

test-clients:
	@tests/clients/run.sh

# The dashboard in a real Chromium; T= is a pytest -k expression.
test-web:
	@packaging/deps.sh test web
	@$(SUBMAKE) -s SAN=1 all build/san/fake_upstream
	@QCC_BUILD=build/san /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/web $(if $(T),-k '$(T)')

bench:
	@packaging/deps.sh bench cluster
	@$(SUBMAKE) -s all $(BIN_FAKE) $(BIN_LOAD)
	@tests/bench/run.py
	@tests/bench/history.py
	@tests/bench/cluster.py

# The readings of public gateway boards; ten minutes. ROUNDS=n.
board:
	@packaging/deps.sh bench
	@$(SUBMAKE) -s all $(BIN_FAKE) $(BIN_LOAD)
	@tests/bench/board.py

drill:
	@packaging/deps.sh drill cluster
	@$(SUBMAKE) -s all $(BIN_FAKE) $(BIN_LOAD)
	@tests/bench/drill.py

# Everything at once for HOURS (0.17, which is ten minutes); SEED=n plays the same troubles.
soak:
	@packaging/deps.sh drill
	@$(SUBMAKE) -s all $(BIN_FAKE)
	@tests/bench/soak.py --build $B --hours $(or $(HOURS),0.17) $(if $(SEED),--seed $(SEED))

# The sixteen kinds of faults of an endpoint in two dialects at default settings, and silence at any byte; some minutes.
faults:
	@packaging/deps.sh drill
	@$(SUBMAKE) -s all
	@tests/bench/faults.py --build $B
	@tests/bench/silence.py --build $B

# SEED=n plays that one and prints its trail; else fresh seeds for SECONDS (60).
chaos:
	@packaging/deps.sh drill
	@$(SUBMAKE) -s all $(BIN_FAKE)
	@tests/chaos/run.py --build $B $(if $(SEED),--seed $(SEED) --shrink,--seconds $(or $(SECONDS),60))

# Three hosts and an engine behind proxies that delay and cut. SEED=n plays that one; else COUNT (3) fresh ones of SECONDS (60).
hosts:
	@packaging/deps.sh drill
	@$(SUBMAKE) -s all
	@tests/hosts/campaign.py --build $B $(if $(SEED),--seed $(SEED),--count $(or $(COUNT),3)) --seconds $(or $(SECONDS),60)

lint:
	@tests/lint.sh

fuzz:
	@packaging/deps.sh fuzz
	@$(SUBMAKE) $(BIN_FUZZ)
	@tests/fuzz/run.sh $(or $(SECONDS),30)

# The map of rooms in README.md, anew from tests/rooms.txt.
rooms:
	@/usr/bin/python3 tests/lint_rooms.py --readme

# ---- man pages: the program prints the reference of qcc.yaml(5) and the metrics of qcc-metrics(7)
MAN     := $(patsubst packaging/man/%.md,build/man/%,$(wildcard packaging/man/*.md))
man: $(MAN)
# of a build for another machine it is named
MAN_BY  ?= $(BIN_SUP)
build/man/%: packaging/man/%.md packaging/man/man.sh packaging/man/man.awk Makefile $(MAN_BY)
	@mkdir -p $(@D)
	packaging/man/man.sh $< $(VERSION) $(MAN_BY) >$@.$$$$ && mv $@.$$$$ $@

# Units, users and configuration under /etc are the packages' matter.
install: all $(MAN)
	install -D -m 0755 $(BIN_SUP) $(DESTDIR)$(PREFIX)/bin/qcc-supervisor
	install -D -m 0755 $(BIN_CTL) $(DESTDIR)$(PREFIX)/bin/qccctl
	install -D -m 0755 $(BIN_WKR) $(DESTDIR)$(PREFIX)/libexec/qcc/qcc-worker
	install -D -m 0755 $(BIN_REC) $(DESTDIR)$(PREFIX)/libexec/qcc/qcc-recorder
	install -D -m 0755 $(BIN_LINK) $(DESTDIR)$(PREFIX)/libexec/qcc/qcc-link
	install -D -m 0640 conf/qcc.yaml $(DESTDIR)$(PREFIX)/share/qcc/qcc.yaml
	install -D -m 0644 conf/prices.yaml $(DESTDIR)$(PREFIX)/share/qcc/prices.yaml
	for page in $(MAN); do \
	    install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -D -m 0644 packaging/completion/qccctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/qccctl
	install -D -m 0644 packaging/completion/_qccctl $(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_qccctl

# ---- packages. VERSION is the one above; 1.0.0-dev is 1.0.0~dev there, which sorts before 1.0.0.
deb:
	@packaging/deps.sh deb $(filter-out $(shell dpkg --print-architecture 2>/dev/null),$(ARCH))
	@packaging/deb.sh $(VERSION) build $(ARCH)

# A container image, of the package and its libraries; neither a daemon nor root is needed.
image: deb
	@packaging/image.sh $(VERSION) $(or $(ARCH),$$(dpkg --print-architecture)) \
	    build/qcc_*_$(or $(ARCH),$$(dpkg --print-architecture)).deb

rpm:
	@packaging/deps.sh rpm
	@packaging/rpm.sh $(VERSION)

test-package:
	@packaging/deps.sh deb chroot
	@packaging/test-package.sh
	@packaging/test-readme.sh

test-image: image
	@packaging/test-image.sh

test-fresh:
	@packaging/deps.sh chroot
	@packaging/test-fresh.sh

version:
	@echo $(VERSION)

clean:
	rm -rf build

-include $(shell find $B build/fuzz -name '*.d' 2>/dev/null)
