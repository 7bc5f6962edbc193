package main

// A mutation breaks one rule of the engine.
type mutation struct {
	name   string
	breaks string // what the engine does then, in words
	edits  []edit
	pkg    string // where the test is that must fail
	test   string
	args   []string // of the test, beside -run
}

// An edit replaces text of a file that must stand in it once.
type edit struct{ file, old, new string }

// few keeps a crash test to what it opens as part of all tests.
var few = []string{"-images", "70000"}

const (
	openFlush = "		err := db.file.SyncData()\n"
	needed    = "published, db.durable.txid, db.safe.txid, db.flight, base)"
	newFlush  = "f := flush{groups: db.ahead, slot: 1 - db.slot}"
	setFlight = "db.flight = f.state.txid\n\tf.meta"
)

var mutations = []mutation{
	// Opening.
	{"NoFlushAtOpen", "a writable open does not flush",
		[]edit{{"recover.go", openFlush, "		err := error(nil)\n"}},
		"./fuzz", "TestCrash", few},
	{"FlushBeforeFirstCommit", "it flushes only before its first commit",
		[]edit{{"recover.go", openFlush, "		err := error(nil)\n"}, {"commit.go", newFlush, newFlush + `
	if db.flushes == 0 {
		if f.err = db.file.SyncFull(); f.err != nil {
			return f
		}
	}`}},
		"./fuzz", "TestCrash", few},
	{"FlushUnlessClean", "it does not flush when the newest meta is marked clean",
		[]edit{{"recover.go", openFlush, `		err := error(nil)
		if slots, _ := readSlots(db.file); !newestIsClean(slots) {
			err = db.file.SyncData()
		}
`}, {"recover.go", "// unborn tells", `func newestIsClean(slots [2]slot) bool {
	newest := slots[0]
	if newest.err != nil || slots[1].err == nil && slots[1].meta.newerThan(newest.meta) {
		newest = slots[1]
	}
	return newest.err == nil && newest.meta.flags&metaClean != 0
}

// unborn tells`}},
		"./fuzz", "TestCrash", few},
	{"NoDrop", "cached copies of what is trusted are kept",
		[]edit{{"recover.go", "err = db.file.DropCache(0, 2*maxPageSize)", "err = nil"},
			{"recover.go", "	if !db.readOnly {\n		device, _", "	if false {\n		device, _"},
			{"recover.go", "if err := db.file.DropCache(0, 2*maxPageSize); err", "if err := error(nil); err"}},
		"./fuzz", "TestFault", nil},
	{"NoVerify", "any valid meta is trusted",
		[]edit{{"recover.go", "if m.flags&(metaClean|metaFlushed) != 0 {", "if true {"}},
		"./fuzz", "TestCrash", few},
	{"PruneByTxid", "only what the newest transaction wrote is verified",
		[]edit{{"recover.go", "birth > v.m.base", "birth >= v.m.txid"}},
		"./fuzz", "TestCrash", few},
	{"PruneByHeader", "the page itself tells whether it is new, not its ref",
		[]edit{{"recover.go", "	if r.pgno == 0 || !v.fresh(r.birth) {\n", `	old := make(page, headerSize)
	if r.pgno != 0 {
		readFull(v.db.file, old, int64(r.pgno)<<v.db.shift)
	}
	if r.pgno == 0 || !v.fresh(old.birth()) {
`}},
		"./fuzz", "TestCrash", few},
	{"ReuseTxid", "the next txid is one above the trusted meta's",
		[]edit{{"recover.go", "next = max(next, other.meta.txid)", "_ = other"}},
		"./fuzz", "TestRuleTxidsAreUsedOnce", nil},
	{"LostMetaLeft", "the meta of a lost transaction is not overwritten",
		[]edit{{"recover.go", "err := db.overrule(m, 1-at)", "err := error(nil)"}},
		"./fuzz", "TestRuleTxidsAreUsedOnce", nil},
	{"UnreadIsLost", "a state that cannot be read is passed over for the one before it",
		[]edit{{"recover.go", "if errors.As(errs[at], &unread) {", "if errors.As(errs[at], &unread) && false {"}},
		"./fuzz", "TestRuleReadErrorIsNoLoss", nil},

	// Metas.
	{"SlotByTxid", "a meta goes to slot txid mod 2",
		[]edit{{"commit.go", setFlight, "f.slot = int(f.state.txid & 1)\n\t" + setFlight}},
		"./fuzz", "TestCrash", few},
	{"SlotOfDurable", "a meta goes over the durable one",
		[]edit{{"commit.go", "slot: 1 - db.slot", "slot: db.slot"}},
		"./fuzz", "TestCrash", few},
	{"CleanInPlace", "the clean meta goes over the durable one",
		[]edit{{"db.go", "int64(1-db.slot)<<db.shift", "int64(db.slot)<<db.shift"}},
		"./fuzz", "TestRuleCleanMarkGoesBesideTheDurableMeta", nil},
	{"FlaggedTooNew", "a meta says that its pages were flushed though it was sealed after that flush",
		[]edit{{"commit.go", "		f.full = false\n", `		f.full = false
		db.mu.Lock()
		if db.head.txid > f.state.txid && db.group.members == 0 && db.seal(true) == nil {
			f.state = db.head
			f.meta = db.metaOf(f.state, db.durable.txid)
			f.meta.flags |= metaFlushed
		}
		db.mu.Unlock()
`}},
		"./fuzz", "TestRuleFlagIsForWhatWasFlushed", nil},
	{"FlushMissesPages", "the flush covers the meta, not the pages",
		[]edit{{"db.go", "type writer struct {\n", "type writer struct {\n\tlate []pageWrite\n"},
			{"commit.go", "	return s.write()\n", `	if withLog {
		for _, w := range s.out {
			s.db.late = append(s.db.late, pageWrite{w.pgno, slices.Clone(w.buf)})
		}
		return s.db.fitFile()
	}
	return s.write()
`}, {"commit.go", "	err = db.writeMeta(f)\n", `	err = db.writeMeta(f)
		for _, w := range db.late {
			db.file.WriteAt(w.buf, int64(w.pgno)<<db.shift)
		}
		db.late = nil
`}},
		"./fuzz", "TestCrash", few},
	{"PublishBeforeFlush", "a state is published before it is durable",
		[]edit{{"commit.go", setFlight, "db.publish(db.head)\n\t" + setFlight}},
		"./fuzz", "TestRuleVisibilityFollowsDurability", nil},

	// Failures.
	{"NoLatch", "a failed flush does not end writing",
		[]edit{{"commit.go", "		db.latch(f.err)\n", "		db.flight = 0\n"}},
		"./fuzz", "TestFailedFlushLatches", nil},
	{"MetaWriteFailureGoesOn", "a failed write of a meta does not end writing",
		[]edit{{"commit.go", "	case f.err == nil:\n", "	case f.err == nil || f.err.Error()[:12] == \"writing meta\":\n"}},
		"./fuzz", "TestFault", nil},
	{"NewerReadersGoOn", "after a failed flush readers of newer states go on",
		[]edit{{"commit.go", "return tx.writable || tx.snap.txid > l.durable", "return tx.writable"}},
		"./fuzz", "TestRuleReadersOfALostStateEnd", nil},
	{"FailedGroupInFreeLog", "the free log says of a group that failed what it freed and allocated",
		[]edit{{"commit.go", "	db.delta.reset(s.mark)\n", ""}},
		"./fuzz", "TestRuleFreeLogForgetsFailedGroups", nil},
	{"FailedGroupKeepsPages", "pages of a group that failed stay allocated",
		[]edit{{"commit.go", "	db.alloc.giveBack(s.runs)\n", ""}},
		"./fuzz", "TestFault", nil},

	// Reuse of pages.
	{"ReuseBeforeDurable", "pages of the durable state are used again",
		[]edit{{"commit.go", needed, "published, 0, db.safe.txid, db.flight, base)"}},
		"./fuzz", "TestRuleDurableStateStays", nil},
	{"ReuseIgnoresReaders", "pages that readers see are used again",
		[]edit{{"commit.go", "return db.readers.appendNeeded(list[:0], published", "return newReaderTable().appendNeeded(nil, published"}},
		"./fuzz", "TestRuleReadersKeepTheirPages", nil},
	{"ReuseIgnoresPublished", "pages of the published state are used again",
		[]edit{{"commit.go", needed, "0*published, db.durable.txid, db.safe.txid, db.flight, base)"}},
		"./fuzz", "TestRulePublishedStateStays", nil},
	{"ReuseIgnoresFlight", "pages of a state whose flush is under way are used again",
		[]edit{{"commit.go", needed, "published, db.durable.txid, db.safe.txid, 0, base)"}},
		"./fuzz", "TestRuleStateInFlightStays", nil},
	{"ReuseAtOnce", "a transaction uses pages again that it freed itself",
		[]edit{{"tx.go", "	s.freed = append(s.freed, freedRun{r, birth})\n}", "	tx.db.alloc.free.add(r)\n}"}},
		".", "TestModelExhaustive", nil},

	// Rolling back.
	{"UndoNotRestored", "rolling back leaves pages as they are",
		[]edit{{"dirty.go", "		t.recycle(*d)\n		*d = u.page\n", "		d.scope, d.copied = u.page.scope, u.page.copied\n"}},
		".", "TestSavepoints", nil},
	{"FreedListNotCutBack", "what a scope freed stays freed when it is rolled back",
		[]edit{{"tx.go", "	tx.db.alloc.giveBack(s.allocs.runs())\n", `	tx.db.alloc.giveBack(s.allocs.runs())
	if len(tx.w.scopes) > 0 {
		tx.w.scope().freed = append(tx.w.scope().freed, s.freed...)
	} else {
		tx.db.group.freed = append(tx.db.group.freed, s.freed...)
	}
`}},
		"./fuzz", "TestRuleRolledBackFreesNothing", nil},
	{"ExtentLeaked", "what a scope allocated stays allocated when it is rolled back",
		[]edit{{"tx.go", "	tx.db.alloc.giveBack(s.allocs.runs())\n", ""}},
		".", "TestRegressRollbackLeaks", nil},
	{"LeakedByMember", "... when a member of a group is",
		[]edit{{"tx.go", "	tx.db.alloc.giveBack(s.allocs.runs())\n", `	if tx.db.group.last == 0 || len(tx.w.scopes) > 0 {
		tx.db.alloc.giveBack(s.allocs.runs())
	}
`}},
		"./fuzz", "TestGroups", nil},

	// Moving.
	{"MovedPageReused", "what the open transaction may have read is not needed",
		[]edit{{"commit.go", "base = db.active.w.base", "base = 0"}},
		".", "TestMovesBeneathAnOpenTransaction", nil},
	{"MovedUnderTransaction", "pages are moved in branches that the open transaction has versions of",
		[]edit{{"relocate.go", "s.image[p.pgno&^dirtyBit] == nil && !d.leaf", "!d.leaf"}},
		".", "TestMovesBeneathAnOpenTransaction", nil},
	{"RebasedAsInnermost", "after a seal, a page of an outer scope refers to what an inner one has made of the group's pages",
		[]edit{{"commit.go", "patch(d, depth[d.scope]+1)", "patch(d, max(len(tx.w.scopes), depth[d.scope]))"}},
		".", "TestRollbackOfANestedBucketAfterASeal", nil},
	{"MovedUnverified", "a page is moved without a look at its checksum",
		[]edit{{"relocate.go", "err == nil && verifyPage(s.db.seed, m.from, m.buf) == nil", "err == nil"}},
		".", "TestDamagedPagesStay", nil},

	// Keeping.
	{"KeptNotWritten", "a meta is written without the pages that were kept in memory",
		[]edit{{"commit.go", "db.writeKept(f.kept)", "db.writeKept(nil)"}},
		"./fuzz", "TestCrash", nil},
	// The redo log.
	{"RedoNotFlushed", "a record of the redo log is not flushed",
		[]edit{{"redo.go", "if err := db.file.SyncData(); err", "if err := error(nil); err"}},
		"./fuzz", "TestCrash", few},
	{"RedoNotRepeated", "what the redo log tells of is not done at open",
		[]edit{{"recover.go", "	return db.repeat(m)\n", "	return nil\n"}},
		"./fuzz", "TestCrash", few},
	{"RedoOverwritten", "a record is written over the one before it",
		[]edit{{"commit.go", "db.redo.used += int64(len(f.record))", "db.redo.used += 0"}},
		".", "TestRedoRepeats", nil},
	{"RedoUntold", "a group is told though the log has no words for a part of it",
		[]edit{{"redo.go", "l.at.n == 0 || g.untold ||", "l.at.n == 0 ||"}},
		"./fuzz", "TestCrash", few},
	{"RedoTornTaken", "the checksum of a record is not compared",
		[]edit{{"redo.go", " || le.Uint64(r) != db.recordSum(r, runOf(m.redo), at, m.txid)", ""}},
		".", "TestRedoDamage", nil},
	{"RedoDamageIsTheEnd", "a damaged record ends the log though others follow",
		[]edit{{"redo.go", "r != nil && le.Uint64(r[16:]) > last {", "r != nil && false {"}},
		".", "TestRedoDamage", nil},

	{"KeptReused", "a page that was replaced is forgotten though a reader needs it",
		[]edit{{"freelist.go", "	list, found := a.pending", "	a.released(p.run)\n	list, found := a.pending"}},
		".", "TestReadersOfKeptPages", nil},
	{"KeptStillVerified", "a page that is kept stays marked as verified",
		[]edit{{"mapping.go", "	m.clearVerified(pgno)\n", ""}},
		".", "TestReadersOfKeptPages", nil},
	{"KeptNotCopied", "a copy takes from the file what is kept in memory",
		[]edit{{"backup.go", "for _, k := range kept {", "for _, k := range kept[:0] {"}},
		".", "TestCopiesOfKeptPages", nil},
	{"KeptWithoutRoom", "nobody looks whether the file has room for what is kept",
		[]edit{{"commit.go", "!s.keeps && (!s.logs || n >= straightPages)", "!s.logs || n >= straightPages"}},
		".", "TestKeptPagesHaveBlocks", nil},
	{"KeptFailureForgotten", "a Durable transaction's group goes on when kept pages could not be written",
		[]edit{{"commit.go", "return slices.ContainsFunc(f.groups, func(g *group) bool { return g.size > 0 }), err", "return false, err"}},
		".", "TestFailedFlushOfKeptPagesWithADurableTransaction", nil},

	{"OldKeptIsNew", "what only readers need of kept pages is written by flushes, and makes them due",
		[]edit{{"freelist.go", "	a.retained(p.run)\n", ""}},
		".", "TestOldKeptPages", nil},

	{"SnapshotDueAtOnce", "a snapshot of the free log gets pages by the longest records",
		[]edit{{"freelist.go", "return min(n, logSpace(pageSize, len(free)+n))", "return logSpace(pageSize, len(free)+n)"}},
		".", "TestSnapshotSpace", nil},

	{"CutOffBeforeFreed", "the free log cuts the end of the file off before it frees what was there",
		[]edit{{"freelist.go", "	if hwm > l.hwm {\n", "	if hwm != l.hwm {\n"}, {"freelist.go", "	if hwm < l.hwm { //", "	if false { //"}},
		".", "TestFreeLogAfterAFailedFlushOfKeptPages", nil},

	// Sealing ahead.
	{"AheadWithoutRoom", "a group is sealed while a flush is under way whether there is room or not",
		[]edit{{"commit.go", "room > 4*uint64(pages)+db.reserve()", "room+1 > 0"}},
		".", "TestNothingIsSealedAheadWithoutRoom", nil},
	{"AheadForgottenByALatch", "a failed flush does not tell the group that was sealed ahead",
		[]edit{{"commit.go", "	for _, g := range db.ahead {\n		db.commits -= g.size\n		db.rollbacks += g.size\n		g.end(err)\n	}\n	db.ahead = nil\n", "	db.ahead = nil\n"}},
		".", "TestFlushBeneathOneAheadFails", nil},
	{"AheadWithTheLeadGiven", "a group is sealed ahead when a member was told to flush it",
		[]edit{{"commit.go", "!half || db.handed || len", "!half || len"}},
		".", "TestNothingIsSealedAheadOnceTheLeadIsGiven", nil},
	{"FlushAfterALatch", "a member that was told to flush does so though the store was latched meanwhile",
		[]edit{{"commit.go", "		return flush{err: l.err}\n", ""}},
		".", "TestLatchBeforeAFlush", nil},
	{"LeadLostByALatch", "a latch leaves the lead with a group that has ended",
		[]edit{{"commit.go", "			db.flushing, db.handed = false, false\n", ""}},
		".", "TestLatchTakesTheLeadBack", nil},
	{"LogTakenAsCurrent", "a flush does not write the free log though pages were freed since",
		[]edit{{"commit.go", "db.logged = s.logs", "db.logged = true"}},
		".", "TestDeferred", nil},

	// Appending.
	{"TailAfterRootSplit", "the way of an append that split the root is taken for the way to the last leaf",
		[]edit{{"tree.go", "if path[0].pgno != b.root.pgno {", "if false {"}},
		".", "TestTailAfterRootSplit", nil},

	// Content.
	{"PageSumIgnored", "the checksum of a page is not compared",
		[]edit{{"tx.go", "case checksum(seed, r.pgno, r.birth, p) != r.sum:", "case false:"}},
		"./fuzz", "TestBitFlips", nil},
	{"ExtentSumIgnored", "the checksum of an extent is not compared",
		[]edit{{"tx.go", "if d.Sum64() != e.sum {", "if false {"}},
		"./fuzz", "TestBitFlips", nil},
	{"CountNotKept", "counts in branches are not changed with their leaves",
		[]edit{{"tree.go", "addCount(s.slot, d)", "addCount(s.slot, 0)"}},
		"./fuzz", "TestRuleCountsFollow", nil},
}
