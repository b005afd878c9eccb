# Builds the unit tests, build/unit/NAME of t/unit/NAME.c, and the fuzz
# drivers, build/fuzz/NAME of t/fuzz/NAME.c; called by auto/unit and auto/fuzz:
#
#   make -f auto/unit.mk NGX=dir ROOT=dir B=dir KIND=unit|fuzz FILES...
#
# NGX is what auto/sanitized made.  A test is linked with t/unit/stubs.c, where
# there is one, with everything of ChatHub that knows no HTTP, and with nginx;
# of both archives only what is needed is taken, and what the test or the stubs
# define themselves goes before.

S := $(ROOT)/src
SUBDIRS := codec log core broker store

SRCS := $(wildcard $(foreach d,$(SUBDIRS),$(S)/$d/*.c))
OBJS := $(SRCS:$(S)/%.c=$(B)/src/%.o)
STUBS := $(patsubst $(ROOT)/t/unit/%.c,$(B)/t/%.o,\
           $(wildcard $(ROOT)/t/unit/stubs.c))

INCS := $(foreach d,$(SUBDIRS),-I$(S)/$d) -I$(ROOT)/t/unit \
        $(foreach d,core event event/modules event/quic os/unix,\
          -isystem $(NGX)/src/$d) \
        -isystem $(NGX)/objs

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
WARN := -Wall -Wextra -Wno-unused-parameter -Werror

CFLAGS := -g -O1 -fno-omit-frame-pointer -pthread $(SANITIZE) $(WARN) \
          -DNGX_CHATHUB_TEST=1
LIBS := -lcjson -lcrypt -lpcre2-8 -lssl -lcrypto -lz -ldl

NGXLIB := $(NGX)/objs/libngx.a

# gcc's objects and clang's can be linked together: their sanitizers agree

ifeq ($(KIND),fuzz)
CC := clang
CFLAGS += -fsanitize=fuzzer-no-link
LINK := -fsanitize=fuzzer
TESTS := $(ROOT)/t/fuzz
else
CC ?= gcc
LIBS := -lcmocka $(LIBS)
TESTS := $(ROOT)/t/unit
endif


# with PARTIAL sources that do not compile are left out: one test can be run
# while another part is being written

ifdef PARTIAL
OBJS := $(wildcard $(OBJS))
endif

$(B)/%: $(B)/t/%.o $(STUBS) $(B)/libchathub.a $(NGXLIB)
	@echo "  link $*"
	@$(CC) $(CFLAGS) $(LINK) -Wl,-z,muldefs -o $@ $< $(STUBS) \
		$(B)/libchathub.a $(NGXLIB) $(LIBS)

$(B)/libchathub.a: $(OBJS)
	@rm -f $@
	@ar rcs $@ $(OBJS)

objects: $(OBJS)

$(B)/src/%.o: $(S)/%.c $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  compile $(<:$(ROOT)/%=%)"
	@$(CC) $(CFLAGS) $(INCS) -MMD -MP -c -o $@ $<

$(B)/t/%.o: $(TESTS)/%.c $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  compile $(<:$(ROOT)/%=%)"
	@$(CC) $(CFLAGS) $(INCS) -MMD -MP -c -o $@ $<

$(B)/t/stubs.o: $(ROOT)/t/unit/stubs.c $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  compile $(<:$(ROOT)/%=%)"
	@$(CC) $(CFLAGS) $(INCS) -MMD -MP -c -o $@ $<


.PHONY: objects
.SECONDARY:
-include $(wildcard $(B)/src/*/*.d $(B)/t/*.d)
