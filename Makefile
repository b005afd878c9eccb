# See README.md, "Installation" and "Testing".  What is made lies under build/.

T =
SECONDS =

all:
	@auto/nginx

run:
	@auto/run

test:
	@auto/test $(T)

unit:
	@auto/unit $(T)

fuzz:
	@FUZZ_SECONDS=$(SECONDS) auto/fuzz $(T)

lint:
	@auto/lint

mutants:
	@auto/mutants $(T)

bench:
	@auto/nginx
	@bench/run

clean:
	rm -rf build

.PHONY: all run test unit fuzz lint mutants bench clean
