# What people run by hand. .ci/run decides whether a change lands; both run the same commands.

.PHONY: test race invariants fuzz crash bench platforms lint cover golden

FUZZTIME ?= 30s
IMAGES ?= 1000000
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

test: ## everything, short enough to wait for
	go test ./...

race: ## the race detector, short budgets
	go test -race -short ./...

invariants: ## with panics where the engine would otherwise tell of damage
	go test -short -tags invariants .

fuzz: ## every fuzz target for FUZZTIME
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

crash: ## IMAGES images of simulated power failures
	go test ./fuzz -run 'TestCrash' -v -images $(IMAGES) -timeout 0

bench: ## beside other stores; a table of ratios
	go -C bench run . -quick

platforms: ## every platform that this machine can run or emulate
	.ci/platforms

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go run $(STATICCHECK) ./...
	cd prometheus && go vet ./... && go run $(STATICCHECK) ./...

cover: ## how much of the core the tests run; fails below 90 %
	@profile=$$(mktemp) && trap 'rm -f "$$profile"' EXIT && \
	go test -short -timeout 30m -coverpkg=. -coverprofile="$$profile" . ./fuzz ./internal/workload && \
	go tool cover -func="$$profile" | sort -k3 -n | head -n 25 && \
	go tool cover -func="$$profile" | awk '/^total/ { print; exit $$NF + 0 < 90 }'

golden: ## write the files that tests compare with anew; look at the difference before committing
	go test . -run 'Golden' -update
