# Makefile - the only one. `make help` lists the goals, `make info` what was found on this machine.
#
# Everything made lies in build/<flavour>/, objects in a mirror of the tree, so that flavours never meet:
#     plain           the one people run; its programs are linked at build/
#     san             SAN=1: address and undefined-behaviour sanitizer, never with CUDA     (SAN=thread: tsan)
#     fuzz            SAN=fuzz: libFuzzer and the sanitizers, clang; only tests/fuzz is linked
#     *-nocuda        CUDA=0
# Two builds at once in one tree: give one its own BUILD=build/mine.

BUILD   ?= build
PREFIX  ?= /usr/local
VERSION ?= 0.1.0
NVCC    ?= nvcc
MPICC   ?= mpicc
CUDA_ARCH ?= 80 86 90
SAN_NAME_thread := tsan
CC      := $(if $(filter default,$(origin CC)),$(if $(filter fuzz,$(SAN)),clang,gcc),$(CC))

SAN_FLAVOUR := $(if $(SAN),$(or $(SAN_NAME_$(SAN)),$(filter fuzz,$(SAN)),san),plain)
FLAVOUR := $(SAN_FLAVOUR)$(if $(filter 0,$(CUDA)),-nocuda)
B   := $(BUILD)/$(FLAVOUR)
BIN := $(if $(filter plain,$(FLAVOUR)),$(BUILD),$(B))
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' '$1' '$2')

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-builtin-rules --jobs=$(JOBS)

# ---- dependencies and probes: asked once, kept in $(B)/found.mk; `make info` asks again ------------------------------

ROOMS := cli workers coordinator pipeline proto base
DEPS_STAMP := $(BUILD)/.deps-$(firstword $(shell sha256sum .ci/deps))
FOUND := $(B)/found.mk
PKG_base := libcrypto
PKG_proto := libzmq msgpack
PKG_pipeline := openblas libpng libjpeg libwebp libexif yaml-0.1 jansson libpcre2-8
PKG_coordinator := sqlite3 jansson libpcre2-8 libmicrohttpd
PKG_cli := jansson libcurl
PKG_workers := jansson

FREE_GOALS := help fmt clean deps lint-quick
ifneq ($(filter-out $(FREE_GOALS),$(or $(MAKECMDGOALS),all)),)
include $(FOUND)
endif
ifeq ($(MAKE_RESTARTS)$(filter info,$(MAKECMDGOALS)),info)
$(FOUND): FORCE
endif
$(FOUND): Makefile .ci/probe | $(DEPS_STAMP)
	@MPICC='$(MPICC)' NVCC='$(NVCC)' .ci/probe $@ $(foreach r,$(ROOMS),$(if $(PKG_$r),$r='$(PKG_$r)'))

# DEPS=0: the check is skipped, for machines with other package managers.
$(DEPS_STAMP):
	@$(if $(filter 0,$(DEPS)),true,.ci/deps)
	@mkdir -p $(@D) && rm -f $(BUILD)/.deps-* && touch $@

# ---- sources ---------------------------------------------------------------------------------------------------------

KNOWS_proto := base
KNOWS_pipeline := base
KNOWS_coordinator := proto base
KNOWS_cli := pipeline proto base
KNOWS_workers := pipeline proto base

TREE := $(shell find $(ROOMS) tests bench -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.sh' -o -name '*.sql' \
	-o -path 'coordinator/web/*.*' \) 2>/dev/null | sort)
# libFuzzer drives the targets of tests/fuzz itself.
C_FILES := $(filter-out $(if $(filter fuzz,$(SAN)),tests/fuzz/support/replay.c),$(filter %.c,$(TREE)))

# tensor/cuda is compiled as a whole or, without CUDA, as off.c alone, which says that there is none.
USE_CUDA := $(if $(SAN)$(filter 0,$(CUDA)),,$(and $(CUDA_FOUND),$(filter pipeline/tensor/cuda/%.cu,$(TREE))))
ifeq ($(CUDA)$(CUDA_FOUND),1)
$(error CUDA=1, but no nvcc on PATH nor in CUDA_HOME)
endif
CUDA_OFF := pipeline/tensor/cuda/off.c
LEFT_OUT := $(if $(USE_CUDA),$(CUDA_OFF),$(filter-out $(CUDA_OFF),$(filter pipeline/tensor/cuda/%,$(TREE))))
ifneq ($(USE_CUDA),)
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(realpath $(CUDA_FOUND)))
LIBS_pipeline += -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 -lcublasLt -lcudart -lstdc++
endif
LIBS_pipeline += -lunistring

# Files that a room carries inside: schema, pages and Slurm's script become symbols _binary_<path with underscores>_start and _end.
EMBEDDED := $(filter coordinator/%.sql $(filter-out %.c %.h,$(filter coordinator/web/%,$(TREE))),$(TREE)) slurm/engram-worker.sbatch
room_sources = $(filter-out %/main.c $(LEFT_OUT),$(filter $1/%.c $1/%.cu,$(TREE)) $(filter $1/% $(if $(filter coordinator,$1),slurm/%),$(EMBEDDED)))
object = $(patsubst %,$(B)/obj/%.o,$(basename $(filter %.c,$1)) $(filter-out %.c,$1))
with_known = $(filter $1 $(foreach r,$1,$(KNOWS_$r)),$(ROOMS))
archives = $(foreach r,$(call with_known,$1),$(if $(call room_sources,$r),$(B)/lib$r.a))
libraries = $(foreach r,$(call with_known,$1),$(LIBS_$r)) -pthread -lm

# ---- flags -----------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wcast-qual
WARN_WIDTH := -Wconversion -Wno-sign-conversion
WARN_FLOAT := -Wdouble-promotion -Wfloat-conversion
SAN_FLAGS_san := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_FLAGS_tsan := -fsanitize=thread
SAN_FLAGS_fuzz := -fsanitize=fuzzer-no-link $(SAN_FLAGS_san)
SAN_LINK_fuzz := -fsanitize=fuzzer
SAN_FLAGS := $(SAN_FLAGS_$(SAN_FLAVOUR))
CFLAGS ?= $(if $(SAN),-O1,-O3) -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DENGRAM_VERSION='"$(VERSION)"' -I. $(WARN) $(SAN_FLAGS) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(SAN_FLAGS) $(SAN_LINK_$(SAN_FLAVOUR)) -Wl,--as-needed $(LDFLAGS)

# Whether a*b+c is rounded once or twice must not be the compiler's mood where results are promised to the byte: no
# contraction anywhere; hot kernels name the multiply-adds they want. Never fast-math, never -march=native (a build must
# run on the machine next door): where CPU_ARCH is x86-64-v3, the kernels are there for v4, too, and chosen at run time.
CPU_V4 := $(if $(filter x86-64-v3,$(CPU_ARCH)),$(B)/obj/pipeline/tensor/cpu-v4.o)
in_width = $(filter base/% proto/% coordinator/% pipeline/neurons/%,$1)
room_flags = $(if $(in_width),$(WARN_WIDTH)) $(if $(filter pipeline/tensor/%,$1),$(WARN_FLOAT)) \
	$(if $(filter pipeline/tensor/cpu/%,$1),$(if $2,-march=x86-64-$2 -DCPU_TABLE=cpu_table_$2,$(CPU_ARCH:%=-march=%)) -Wno-psabi) \
	$(if $(filter pipeline/tensor/kernels.c,$1),$(CPU_V4:%=-DCPU_HAS_V4)) -ffp-contract=off \
	$(if $(filter workers/% tests/%,$1),$(MPI_CFLAGS)) \
	$(if $(filter pipeline/tensor/cuda/%,$1),$(CUDA_HOME:%=-isystem %/include)) $(if $(WERROR),-Werror)
NVCC_FLAGS = -std=c++17 -O3 -I. -Xcompiler -Wall $(if $(WERROR),-Xcompiler -Werror) \
	$(foreach a,$(CUDA_ARCH),-gencode arch=compute_$a,code=sm_$a)

# ---- rules (made under another name, then renamed: a second make in the same tree never sees half a file) ------------

$(B)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(CPU_ARCH))' >$@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@

compile = $(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(call room_flags,$<,$1) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.$$$$ && mv $@.$$$$ $@
$(B)/obj/%.o: %.c $(B)/flags | $(DEPS_STAMP)
	$(call say,CC,$<)
	$(call compile)
$(B)/obj/%.v4.o: %.c $(B)/flags | $(DEPS_STAMP) ; $(call compile,v4)
$(CPU_V4): $(patsubst %.c,$(B)/obj/%.v4.o,$(filter pipeline/tensor/cpu/%.c,$(TREE))) ; $(Q)$(LD) -r $^ -o $@.new && objcopy --keep-global-symbol=cpu_table_v4 $@.new $@

$(B)/obj/%.cu.o: %.cu $(B)/flags | $(DEPS_STAMP)
	$(call say,NVCC,$<)
	$(Q)mkdir -p $(@D) && $(CUDA_FOUND) $(NVCC_FLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.new.o && mv $@.new.o $@

$(call object,$(EMBEDDED)): $(B)/obj/%.o: %
	$(call say,EMBED,$<)
	$(Q)mkdir -p $(@D) && $(LD) -r -b binary -z noexecstack $< -o $@

define ROOM_RULE
$(B)/lib$1.a: $(call object,$(call room_sources,$1)) $(if $(filter pipeline,$1),$(CPU_V4))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@.$$$$$$$$ && $$(AR) rcs $$@.$$$$$$$$ $$^ && mv $$@.$$$$$$$$ $$@
endef
$(foreach r,$(ROOMS),$(eval $(call ROOM_RULE,$r)))

# $1 program, $2 objects, $3 rooms
define PROGRAM_RULE
$1: $2 $(call archives,$3)
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D) && $$(CC) $$(ALL_LDFLAGS) $$^ $(call libraries,$3) -o $$@.$$$$$$$$ && mv $$@.$$$$$$$$ $$@
endef
main_of = $(filter $1/main.c $1/server/main.c,$(C_FILES))
program = $(if $(call main_of,$2),$(eval PROGRAMS += $(BIN)/$1)$(eval $(call PROGRAM_RULE,$(BIN)/$1,$(call \
	object,$(call main_of,$2)),$(firstword $(subst /, ,$2)))))
$(call program,engram,cli)
$(call program,engram-coordinator,coordinator)$(call program,engram-door,coordinator/door)$(call program,engram-care,coordinator/care)
$(if $(MPI),$(call program,engram-worker,workers))

# ---- tests and bench: a .c file outside support/ is a program and links the rooms whose headers it includes ----------
# slow_*.c and slow_*.sh run in test-all only.

TEST_C := $(filter tests/%.c bench/%.c,$(C_FILES))
OWN_C := $(foreach f,$(TEST_C),$(if $(findstring /support/,$f)$(findstring /interpose/,$f),,$f))
top_folder = $(firstword $(subst /, ,$(1:tests/%=%)))
support = $(sort $(filter $(dir $1)support/%.c tests/$(top_folder)/support/%.c $(if $(findstring /hostile.c,$1),tests/door/support/%.c),$(TEST_C)))
INCLUDED := $(if $(TEST_C),$(shell grep -o '^ *\# *include "[a-z]*/' $(TEST_C) /dev/null \
	| sed 's|:.*"|=|; s|/$$||' | sort -u))
rooms_of = $(filter $(ROOMS),$(sort $(if $(filter tests/comm/%,$1),workers) $(foreach f,$1 $(support),$(patsubst $f=%,%,$(filter $f=%,$(INCLUDED))))))
NEED_MPI := $(if $(MPI),,$(foreach f,$(OWN_C),$(if $(filter workers,$(rooms_of))$(findstring tests/comm/,$f),$f)))
$(foreach f,$(OWN_C),$(eval $(call PROGRAM_RULE,$(B)/$(f:.c=),$(call object,$f $(call support,$f)),$(call rooms_of,$f))))
$(B)/%.so: %.c $(B)/flags ; $(Q)mkdir -p $(@D) && $(CC) -std=c11 -D_GNU_SOURCE -I. $(WARN) -g -fPIC -shared $< -ldl -o $@
$(B)/tests/store/points/points $(B)/tests/store/disk: | $(B)/tests/store/interpose/interpose.so
T ?= tests/
SCRIPTS := $(sort $(shell find tests -name '*.sh' -perm -u+x ! -path '*/support/*'))
TESTS_ALL := $(filter $(T:%=%%),$(filter tests/%,$(OWN_C)) $(SCRIPTS))
TESTS := $(foreach f,$(TESTS_ALL),$(if $(findstring /slow_,$f),,$f))
test_programs = $(patsubst %.c,$(B)/%,$(filter %.c,$(filter-out $(NEED_MPI),$1)))
run_tests = ENGRAM_BIN=$(abspath $(BIN)) CC='$(CC)' ENGRAM_HEADER_FLAGS='$(PKG_CFLAGS) $(MPI_CFLAGS)' \
	JOBS=$(JOBS) tests/run $(B) $(NEED_MPI:%=--no-mpi=%) $1

# ---- goals -----------------------------------------------------------------------------------------------------------

.PHONY: all test test-all crash-points fuzz fuzz-programs simulate cluster-test chaos demo bench parity lint lint-quick fmt info help install deps clean FORCE
all: $(PROGRAMS) ## programs: build/engram, engram-coordinator, engram-door, engram-care, engram-worker

test: $(if $(filter %.sh,$(TESTS)),$(PROGRAMS)) $(call test_programs,$(TESTS)) ## all quick tests; T="tests/parity tests/cli" picks by prefix
	@$(call run_tests,$(TESTS))

test-all: $(PROGRAMS) $(call test_programs,$(TESTS_ALL)) ## and the slow ones, ENGRAM_TEST_ALL=1 in their environment
	@ENGRAM_TEST_ALL=1 $(call run_tests,$(TESTS_ALL))

fuzz: ## libFuzzer on every target of tests/fuzz, FUZZ_SECONDS each (clang, libclang-rt); T= picks
	@+$(MAKE) --no-print-directory SAN=fuzz fuzz-programs
	@JOBS=$(JOBS) tests/fuzz/run $(BUILD)/fuzz $(or $(FUZZ_SECONDS),60) $(FUZZED)
FUZZED = $(filter $(T:%=%%),$(filter tests/fuzz/%,$(OWN_C)))
fuzz-programs: $(call test_programs,$(FUZZED))

crash-points: $(B)/tests/store/points/points ## the store broken at each of its calls, in each way (minutes)
	@POINTS=all $<

MUTANTS := $(shell sed -nE "s/^(mutant|harmless) //p" tests/simulation/mutants.def)
simulate: $(B)/$(if $(filter $(BUG),$(MUTANTS)),mutants/$(BUG),tests/simulation/simulate) ## a simulated world: SEED=n EVENTS=m; BUG= WORLD= KEEP= TELL=1
	@$< $(SEED) $(EVENTS) $(BUG:%=bug=%) $(WORLD:%=world=%) $(KEEP:%=keep=%) $(TELL:%=tell=%)
$(B)/mutants/%: $(B)/tests/simulation/simulate tests/simulation/mutants.def
	$(Q)tests/simulation/support/mutate.sh $* $@.d
	$(Q)$(CC) $(ALL_CFLAGS) $@.d/*.c $(patsubst $(B)/%,$(B)/obj/%.o,$<) \
		$(call object,$(call support,tests/simulation/simulate.c)) \
		$(call archives,coordinator) $(call libraries,coordinator) -o $@

chaos: all $(B)/tests/chaos/user ## hundreds of kills, sleeps, cuts, a full disk while people work; ENGRAM_SEED=n (half an hour)
	@$(subst JOBS=$(JOBS),JOBS=1,$(call run_tests,tests/chaos/slow_chaos.sh))

cluster-test: all $(B)/tests/chaos/user ## worker groups through a real Slurm with 4 nodes on this host
	@$(subst JOBS=$(JOBS),JOBS=1,$(call run_tests,$(filter tests/slurm/%,$(SCRIPTS))))

demo: all ; @ENGRAM_BIN=$(abspath $(BIN)) examples/storybook/demo.sh ## Storybook end to end

bench: $(patsubst %.c,$(B)/%,$(filter bench/%,$(OWN_C))) all ## measurements of bench/; ROW="unet-256 score": rows beside PyTorch
	@$(if $(ROW),,set -e; for b in $(patsubst %.c,$(B)/%,$(filter bench/%,$(filter-out bench/peer/%,$(OWN_C)))); do echo "== $$b"; $$b; done)
	@ENGRAM_BENCH=$(B)/bench/peer bench/peer/run.sh $(ROW)

parity: all ## full-size models beside diffusers and PyTorch, hours; P="unet-512 loss-256" picks
	@tests/full_size/support/environment.sh build/parity-venv
	@ENGRAM_BIN=$(abspath $(BIN)) build/parity-venv/bin/python tests/full_size/run.py $(P)

SHELL_FILES = $(filter %.sh,$(TREE)) $(wildcard .ci/deps .ci/probe .ci/run coordinator/systemd/install tests/run tests/fuzz/run slurm/*.sh slurm/*.sbatch examples/storybook/*.sh)
FORMATTED = $(filter %.c %.cu,$(TREE))
lint-quick: ## shellcheck and the format of every .c and .cu
	@shellcheck -x $(SHELL_FILES)
	@clang-format --dry-run -Werror $(FORMATTED)

# cppcheck 2.10 cannot read a ternary of a compound literal (internalAstError) and takes designated initialisers for assignments
# (unknownEvaluationOrder), sizeof e->text for a read; it does not see that what is not set is not used because rc is not OK, that a
# vector is set lane by lane, that two symbols are the ends of one file, that a borrowed address is taken back.
CPPCHECK_LEFT_OUT := internalAstError unknownEvaluationOrder ctunullpointer ctuuninitvar uninitvar uninitStructMember \
	nullPointerRedundantCheck nullPointerArithmeticRedundantCheck comparePointers autoVariables
lint: lint-quick ## and clang-tidy, cppcheck (minutes)
	@printf '%s\n' $(filter-out $(LEFT_OUT),$(C_FILES)) | xargs -P $(JOBS) -I FILE clang-tidy --quiet FILE -- $(ALL_CFLAGS) $(MPI_CFLAGS)
	@cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		$(CPPCHECK_LEFT_OUT:%=--suppress=%) -j $(JOBS) -I. $(ROOMS)

fmt: ## clang-format on every .c and .cu; F="a.c b.h" on these
	@clang-format -i $(or $(F),$(FORMATTED))

info: ## what was found, where, and what is off
	@echo "flavour   $(FLAVOUR) in $(B), programs in $(BIN): $(notdir $(PROGRAMS))"
	@echo "compiler  $(CC) $(CFLAGS) $(CPU_ARCH:%=, kernels for %)$(CPU_V4:%= and x86-64-v4)"
	@echo "MPI       $(or $(MPI),off: no $(MPICC) on PATH; engram-worker is not built and tests/comm is skipped)"
	@echo "CUDA      $(if $(USE_CUDA),$(CUDA_FOUND) for sm_$(CUDA_ARCH),off: $(if $(SAN),not with SAN,$(if $(filter \
		0,$(CUDA)),CUDA=0,$(if $(CUDA_FOUND),no .cu file in this tree,no nvcc on PATH or in CUDA_HOME))))"
	@echo "tests     $(words $(TESTS)) programs and scripts; $(words $(TESTS_ALL)) with the slow ones"

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo '  also: JOBS=n V=1 SAN=1 SAN=thread SAN=fuzz CUDA=0 WERROR=1 DEPS=0 BUILD=.. CC=.. CFLAGS=.. PREFIX=.. print-VARIABLE'

install: all ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/engram
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin && coordinator/systemd/install '$(DESTDIR)' '$(PREFIX)' && \
	for d in slurm examples/storybook/model; do [ ! -d $$d ] || cp -r $$d $(DESTDIR)$(PREFIX)/share/engram/; done

deps: ; @.ci/deps ## checks for the Debian packages, installs what is missing
clean: ; rm -rf $(B) $(PROGRAMS) ## removes this flavour
print-%: ; @echo '$* = $($*)'

-include $(patsubst %.o,%.d,$(call object,$(filter %.c %.cu,$(TREE)))) $(wildcard $(B)/obj/pipeline/tensor/cpu/*.d)
