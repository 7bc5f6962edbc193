package compat

import (
	"fmt"
	"go/constant"
	"go/types"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// A surface is the exported API of a package: for each name what it is, and for each field and
// method of a type, in a form that is the same for two packages that programs cannot tell
// apart.
type surface map[string]string

func TestAPIIsThatOfBbolt(t *testing.T) {
	const real, ours = "go.etcd.io/bbolt", "github.com/foliokv/folio/bolt"
	for _, c := range []struct {
		name, want, dir, path string
	}{
		{"bolt", real, ".", ours},
		{"bolt/errors", real + "/errors", ".", ours + "/errors"},
		{"drop-in", real, "../dropin", real},
		{"drop-in errors", real + "/errors", "../dropin", real + "/errors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, got := surfaceOf(t, ".", c.want), surfaceOf(t, c.dir, c.path)
			if len(want) < 20 {
				t.Fatalf("%d names in %s", len(want), c.want)
			}
			for _, name := range sortedKeys(want) {
				if got[name] != want[name] {
					t.Errorf("%s: %q, bbolt has %q", name, got[name], want[name])
				}
			}
			for _, name := range sortedKeys(got) {
				if _, ok := want[name]; !ok {
					t.Errorf("%s: %q, bbolt has no such name", name, got[name])
				}
			}
		})
	}
}

func sortedKeys(s surface) []string {
	var names []string
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// surfaceOf loads the package called path as the module in dir sees it.
func surfaceOf(t *testing.T, dir, path string) surface {
	t.Helper()
	cfg := &packages.Config{Dir: dir, Mode: packages.LoadTypes}
	pkgs, err := packages.Load(cfg, path)
	if err != nil || len(pkgs) != 1 || len(pkgs[0].Errors) > 0 {
		t.Fatalf("loading %s in %s: %v %v", path, dir, err, pkgs)
	}
	s := surface{}
	scope := pkgs[0].Types.Scope()
	for _, name := range scope.Names() {
		if obj := scope.Lookup(name); obj.Exported() {
			s.object(obj)
		}
	}
	return s
}

func (s surface) object(obj types.Object) {
	switch o := obj.(type) {
	case *types.Const:
		s[o.Name()] = fmt.Sprintf("const %s = %s", show(o.Type()), constant.ToInt(o.Val()))
	case *types.Var:
		s[o.Name()] = "var " + show(o.Type())
	case *types.Func:
		s[o.Name()] = show(o.Type())
	case *types.TypeName:
		s.typ(o.Name(), types.Unalias(o.Type()))
	}
}

// typ adds a type, its exported fields, and its methods, promoted ones included.
func (s surface) typ(name string, t types.Type) {
	s[name] = "type " + kindOf(t.Underlying())
	if u, ok := t.Underlying().(*types.Struct); ok {
		for i := range u.NumFields() {
			if f := u.Field(i); f.Exported() {
				s[name+"."+f.Name()] = fmt.Sprintf("field %s, embedded %t, tag %q", show(f.Type()), f.Embedded(), u.Tag(i))
			}
		}
	}
	for _, recv := range []types.Type{t, types.NewPointer(t)} {
		set := types.NewMethodSet(recv)
		for i := range set.Len() {
			if m := set.At(i).Obj(); m.Exported() {
				s[show(recv)+"."+m.Name()+"()"] = show(m.Type())
			}
		}
	}
}

func kindOf(t types.Type) string {
	switch u := t.(type) {
	case *types.Struct:
		return "struct"
	case *types.Interface:
		return "interface"
	default:
		return show(u)
	}
}

// show returns a type without the names of parameters, and with packages named by the part of
// their path that the two have in common.
func show(t types.Type) string {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		if t.Obj().Pkg() == nil {
			return t.Obj().Name()
		}
		return packageOf(t.Obj().Pkg().Path()) + "." + t.Obj().Name()
	case *types.Pointer:
		return "*" + show(t.Elem())
	case *types.Slice:
		return "[]" + show(t.Elem())
	case *types.Chan:
		return fmt.Sprintf("chan(%d) %s", t.Dir(), show(t.Elem()))
	case *types.Signature:
		return fmt.Sprintf("func(%s) (%s) variadic %t", tuple(t.Params()), tuple(t.Results()), t.Variadic())
	default:
		return types.TypeString(t, func(p *types.Package) string { return packageOf(p.Path()) })
	}
}

func tuple(t *types.Tuple) string {
	var all []string
	for i := range t.Len() {
		all = append(all, show(t.At(i).Type()))
	}
	return strings.Join(all, ", ")
}

func packageOf(path string) string {
	for _, root := range []string{"go.etcd.io/bbolt", "github.com/foliokv/folio/bolt"} {
		if rest, ok := strings.CutPrefix(path, root); ok {
			return "bolt" + rest
		}
	}
	return path
}
