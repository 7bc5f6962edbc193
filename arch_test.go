package folio_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These tests pin who may know of whom: packages by their imports, the files of the engine by
// the names they use, and the few places that may write to the file or copy a page.

const module = "github.com/foliokv/folio"

// mayImport lists, for each package, what it may import beside the standard library, tests
// apart. A name that ends with "/..." stands for all below it; "*" for everything.
var mayImport = map[string][]string{
	"":                             {"mmapfile", "internal/backing", "internal/pageinfo", "github.com/cespare/xxhash/v2", "github.com/google/btree"},
	"mmapfile":                     {"golang.org/x/sys/..."},
	"foliovar":                     {""},
	"bolt":                         {"", "bolt/...", "internal/pageinfo"},
	"bolt/errors":                  {""},
	"bolt/internal/common":         {},
	"fuzz":                         {},
	"fuzz/mutate":                  {},
	"internal/backing":             {},
	"internal/backing/backingtest": {"internal/backing"},
	"internal/boltfile":            {"mmapfile"},
	"internal/foliotest":           {"", "internal/backing", "internal/workload"},
	"internal/pageinfo":            {},
	"internal/model":               {"github.com/google/btree"},
	"internal/simfile":             {"internal/backing", "github.com/cespare/xxhash/v2"},
	"internal/testdir":             {},
	"internal/workload":            {"internal/model", "github.com/cespare/xxhash/v2"},
	"examples/codesearch":          {""},
	"examples/sessions":            {""},
	"examples/timeseries":          {""},
	"examples/workqueue":           {""},
	"cmd/kvcli":                    {"*"},
}

// notInCore are packages of the standard library that a program with folio does not get from it.
var notInCore = []string{"net", "net/http", "expvar", "testing", "flag", "log", "os/exec", "encoding/json", "text/template"}

func allowed(imported string, by []string) bool {
	for _, a := range by {
		full := a
		if first, _, _ := strings.Cut(a, "/"); !strings.Contains(first, ".") {
			full = path.Join(module, a)
		}
		prefix, all := strings.CutSuffix(full, "/...")
		if a == "*" || imported == full || all && strings.HasPrefix(imported, prefix+"/") {
			return true
		}
	}
	return false
}

// packages calls fn for every package of the module.
func packages(t *testing.T, fn func(dir string, p *build.Package)) {
	t.Helper()
	must(t, filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); dir != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && dir != "." {
			return filepath.SkipDir // another module
		}
		p, err := build.ImportDir(dir, 0)
		if none := (*build.NoGoError)(nil); errors.As(err, &none) {
			return nil
		}
		must(t, err)
		fn(strings.TrimPrefix(filepath.ToSlash(dir), "."), p)
		return nil
	}))
}

func TestArchImports(t *testing.T) {
	seen := map[string]bool{}
	packages(t, func(dir string, p *build.Package) {
		seen[dir] = true
		by, known := mayImport[dir]
		if !known {
			t.Errorf("package %q is not in the list: what may it import?", dir)
		}
		for _, imported := range p.Imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") && !allowed(imported, by) {
				t.Errorf("package %q imports %s", dir, imported)
			}
			if dir == "" && slices.Contains(notInCore, imported) {
				t.Errorf("the engine imports %s", imported)
			}
		}
	})
	for dir := range mayImport {
		if !seen[dir] {
			t.Errorf("package %q is in the list only", dir)
		}
	}
}

// Unsafe code and system calls stand in mmapfile. Elsewhere package syscall gives names of
// errors and signals; the shell also looks at locks and users.
func TestArchUnsafeAndSystemCalls(t *testing.T) {
	eachFile(t, func(name string, f *ast.File) {
		if strings.HasPrefix(name, "mmapfile/") {
			return
		}
		for _, i := range f.Imports {
			switch i.Path.Value {
			case `"unsafe"`, `"C"`:
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
			if strings.HasPrefix(i.Path.Value, `"golang.org/x/sys`) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		if strings.HasPrefix(name, "cmd/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "syscall" && !isErrnoOrSignal(s.Sel.Name) {
				t.Errorf("%s uses syscall.%s", name, s.Sel.Name)
			}
			return true
		})
	})
}

func isErrnoOrSignal(name string) bool {
	return name == "Errno" || name == "Signal" || strings.ToUpper(name) == name && (name[0] == 'E' || strings.HasPrefix(name, "SIG"))
}

// eachFile calls fn with every Go file of the module, tests included, on any platform.
func eachFile(t *testing.T, fn func(name string, f *ast.File)) {
	t.Helper()
	packages(t, func(dir string, p *build.Package) {
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(path.Join(".", dir)), "*.go"))
		must(t, err)
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			must(t, err)
			fn(filepath.ToSlash(file), f)
		}
	})
}

// mayUse lists, for the files at the bottom of the engine, the other files whose names they may
// use: a page knows nothing of transactions, the free list nothing of the tree, and so on.
var mayUse = map[string][]string{
	"errors.go":   {},
	"fifo.go":     {},
	"page.go":     {"errors.go", "options.go", "meta.go", "bucket.go"}, // the sizes in them
	"meta.go":     {"errors.go", "page.go"},
	"freelist.go": {"errors.go", "page.go", "meta.go", "pageset.go"},
	"pageset.go":  {"freelist.go", "meta.go"}, // runs
	"readers.go":  {},
	"mapping.go":  {"page.go", "meta.go"},
	"file.go":     {},
	"dirty.go":    {"page.go", "freelist.go", "bucket.go"}, // buckets as values of an undo list
	"options.go":  {"events.go", "page.go"},
}

// An engine is the source of package folio with what its names refer to.
type engine struct {
	fset  *token.FileSet
	files map[string]*ast.File
	pkg   *types.Package
	uses  map[*ast.Ident]types.Object
}

func parseEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{fset: token.NewFileSet(), files: map[string]*ast.File{}}
	p, err := build.ImportDir(".", 0)
	must(t, err)
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(e.fset, name, nil, parser.ParseComments)
		must(t, err)
		e.files[name] = f
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What other packages export is of no matter here, so it is left unresolved.
	c := types.Config{Importer: noImports{}, Error: func(error) {}}
	e.pkg, _ = c.Check(module, e.fset, files, info)
	e.uses = info.Uses
	return e
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("left out") }

// eachUse calls fn for every use of a name of the package (not of a local one).
func (e *engine) eachUse(fn func(file, in string, used types.Object, definedIn string)) {
	for id, o := range e.uses {
		v, isVar := o.(*types.Var)
		if o.Pkg() != e.pkg || isVar && !v.IsField() && o.Parent() != e.pkg.Scope() || isTypeParam(o) {
			continue
		}
		at, def := e.fset.Position(id.Pos()), e.fset.Position(o.Pos())
		fn(at.Filename, e.function(at.Filename, id.Pos()), o, def.Filename)
	}
}

func isTypeParam(o types.Object) bool {
	_, is := o.Type().(*types.TypeParam)
	return is
}

// function returns the name of the function around a position.
func (e *engine) function(file string, pos token.Pos) string {
	for _, d := range e.files[file].Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Pos() <= pos && pos < f.End() {
			return f.Name.Name
		}
	}
	return ""
}

func TestArchLayers(t *testing.T) {
	e := parseEngine(t)
	seen := map[string]map[string]bool{}
	e.eachUse(func(file, in string, used types.Object, definedIn string) {
		if seen[file] == nil {
			seen[file] = map[string]bool{}
		}
		seen[file][definedIn] = true
		if may, low := mayUse[file]; low && definedIn != file && !slices.Contains(may, definedIn) {
			t.Errorf("%s uses %s of %s (in %s)", file, used.Name(), definedIn, in)
		}
	})
	for file := range mayUse {
		if e.files[file] == nil {
			t.Errorf("there is no %s any more", file)
		}
	}
	if len(seen["tx.go"]) < 5 {
		t.Errorf("tx.go seems to use %v only: the test does not see", slices.Collect(maps.Keys(seen["tx.go"])))
	}
}

// onlyIn pins the functions that may use a method or function of the engine.
var onlyIn = map[string][]string{
	// The one copy-on-write point.
	"own": {"writablePage"},
	// Those that write a meta: a flush, a proper close, the creation, the choice of an older state, and
	// a backup to its copy.
	"encode": {"writeMeta", "writeClean", "create", "overrule", "WriteToContext"},
	// What makes a state visible.
	"publish": {"conclude", "commitDeferred", "latch"},
	// What ends writing.
	"latch": {"finishFlush", "latchPanic", "startFlush"},
}

// writers are the files that may write to the store's file.
var writers = []string{"commit.go", "kept.go", "space.go", "db.go", "recover.go", "redo.go"}

func TestArchWritePoints(t *testing.T) {
	e := parseEngine(t)
	found := map[string]bool{}
	e.eachUse(func(file, in string, used types.Object, _ string) {
		f, isFunc := used.(*types.Func)
		if !isFunc {
			return
		}
		by, pinned := onlyIn[f.Name()]
		if f.Name() == "encode" && !strings.Contains(f.String(), ".meta)") {
			pinned = false
		}
		if pinned {
			found[f.Name()] = true
			if !slices.Contains(by, in) {
				t.Errorf("%s in %s uses %s", in, file, f.Name())
			}
		}
	})
	for name := range onlyIn {
		if !found[name] {
			t.Errorf("nothing uses %s: the test does not see", name)
		}
	}
	calls := 0
	for name, f := range e.files {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"WriteAt", "WriteVec", "Truncate", "SyncData", "SyncFull"}, s.Sel.Name) {
				return true
			}
			calls++
			if !slices.Contains(writers, name) && name != "file.go" && name != "backup.go" {
				t.Errorf("%s writes to a file: %s at %v", name, s.Sel.Name, e.fset.Position(s.Pos()))
			}
			return true
		})
	}
	if calls < 10 {
		t.Errorf("%d writes found: the test does not see", calls)
	}
}

// Every exported name of a public package has a comment that begins with it, or with an article.
func TestArchComments(t *testing.T) {
	names := 0
	eachFile(t, func(name string, f *ast.File) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/") || f.Name.Name == "main" {
			return
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) {
					names++
					wantsComment(t, name, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				names += declaration(t, name, d)
			}
		}
	})
	if names < 200 {
		t.Errorf("%d names found: the test does not see", names)
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	x := d.Recv.List[0].Type
	if p, ok := x.(*ast.StarExpr); ok {
		x = p.X
	}
	id, ok := x.(*ast.Ident)
	return !ok || id.IsExported()
}

// declaration looks at types, constants and variables, and at the fields and methods of types.
// A comment of a group counts for constants and variables in it.
func declaration(t *testing.T, file string, d *ast.GenDecl) (n int) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				continue
			}
			n++
			doc := s.Doc
			if doc == nil && len(d.Specs) == 1 {
				doc = d.Doc
			}
			wantsComment(t, file, s.Name.Name, doc)
			n += members(t, file, s)
		case *ast.ValueSpec:
			for _, id := range s.Names {
				if id.IsExported() {
					n++
					if s.Doc == nil && s.Comment == nil && d.Doc == nil {
						t.Errorf("%s: %s has no comment", file, id.Name)
					}
				}
			}
		}
	}
	return n
}

// ownComments are the types of which each field needs a comment; of others the comment of the
// type may be enough.
var ownComments = []string{"Options", "Stats"}

func members(t *testing.T, file string, s *ast.TypeSpec) (n int) {
	var list *ast.FieldList
	switch x := s.Type.(type) {
	case *ast.StructType:
		list = x.Fields
	case *ast.InterfaceType:
		list = x.Methods
	default:
		return 0
	}
	own := slices.Contains(ownComments, s.Name.Name)
	for _, f := range list.List {
		for _, id := range f.Names {
			if id.IsExported() {
				n++
				if own && f.Doc == nil && f.Comment == nil {
					t.Errorf("%s: %s.%s has no comment", file, s.Name.Name, id.Name)
				}
			}
		}
	}
	return n
}

func wantsComment(t *testing.T, file, name string, doc *ast.CommentGroup) {
	t.Helper()
	text := strings.TrimSpace(doc.Text())
	switch {
	case text == "":
		t.Errorf("%s: %s has no comment", file, name)
	case !strings.HasPrefix(text, name) && !strings.HasPrefix(text, "A "+name) && !strings.HasPrefix(text, "An "+name):
		t.Errorf("%s: the comment of %s does not begin with its name", file, name)
	case !strings.HasSuffix(text, ".") && !strings.Contains(text, "\n"):
		t.Errorf("%s: the comment of %s is no sentence", file, name)
	}
}
