package onnx

import (
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// The messages of onnx.proto, as far as they matter here. Strings point into the file.

type modelProto struct {
	irVersion int64
	meta      map[string]string
	opsets    map[string]int64
	graph     *graphProto
	functions map[funcKey]*functionProto
}

type graphProto struct {
	name            string
	nodes           []*nodeProto
	inits           []namedTensor
	inputs, outputs []valueProto
	infos           []valueProto
	free            []string // see order.go
	ordered         bool
}

type namedTensor struct {
	name string
	t    *tensor.Tensor
}

type nodeProto struct {
	name, op, domain, overload string
	in, out                    []string
	attrs                      []attrProto
	index                      int // position in the file's list
}

type attrProto struct {
	name string
	ref  string // the function's attribute that this one takes its value from
	// value is what model.Attrs holds, or *graphProto, or typeProto; nil where ref is set.
	value any
}

type valueProto struct {
	name string
	typ  typeProto
}

type typeProto struct {
	kind  Kind
	dtype tensor.DType
	shape tensor.Shape
	dims  []string
	elem  *typeProto
	// other names a type that has no counterpart.
	other string
}

type funcKey struct{ domain, name, overload string }

type functionProto struct {
	key             funcKey
	inputs, outputs []string
	attrs           []string
	defaults        []attrProto
	opsets          map[string]int64
	types           map[string]*typeProto // of the body's values
	body            graphProto            // nodes and infos only
}

func domainName(s string) string {
	if s == "ai.onnx" {
		return ""
	}
	return s
}

func (d *decoder) model(m msg) (*modelProto, error) {
	p := &modelProto{meta: map[string]string{}, opsets: map[string]int64{}, functions: map[funcKey]*functionProto{}}
	about := func(fd *field, key string) error {
		var s string
		err := fd.text(&s)
		if s != "" {
			p.meta["onnx."+key] = s
		}
		return err
	}
	// External data may fail, so it matters which of two errors comes first: read the graph last.
	var graph *msg
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.int(&p.irVersion)
		case 2:
			return about(fd, "producer_name")
		case 3:
			return about(fd, "producer_version")
		case 4:
			return about(fd, "domain")
		case 5:
			var v int64
			err := fd.int(&v)
			p.meta["onnx.model_version"] = strconv.FormatInt(v, 10)
			return err
		case 6:
			return about(fd, "doc_string")
		case 7:
			return fd.message(func(m msg) error {
				if graph != nil {
					return m.errorf("second graph")
				}
				graph = &m
				return nil
			})
		case 8:
			return fd.message(func(m msg) error { return d.opset(m, p.opsets) })
		case 14:
			return fd.message(func(m msg) error { return d.pair(m, &p.meta) })
		case 25:
			return fd.message(func(m msg) error {
				f, err := d.function(m)
				if err != nil {
					return err
				}
				if p.functions[f.key] != nil {
					return m.errorf("function %s.%s is defined twice", f.key.domain, f.key.name)
				}
				p.functions[f.key] = f
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graph == nil {
		return nil, m.errorf("no graph: this is no ONNX model")
	}
	if p.graph, err = d.graph(*graph, 0); err != nil {
		return nil, err
	}
	return p, nil
}

func (d *decoder) opset(m msg, dst map[string]int64) error {
	var domain string
	var version int64
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&domain)
		case 2:
			return fd.int(&version)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if version < 1 {
		return m.errorf("opset %d of domain %q", version, domain)
	}
	dst[domainName(domain)] = version
	return d.charge(128)
}

func (d *decoder) function(m msg) (*functionProto, error) {
	f := &functionProto{opsets: map[string]int64{}}
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&f.key.name)
		case 4:
			return d.appendText(fd, &f.inputs)
		case 5:
			return d.appendText(fd, &f.outputs)
		case 6:
			return d.appendText(fd, &f.attrs)
		case 7:
			return fd.message(func(m msg) error { return d.node(m, &f.body, 0) })
		case 9:
			return fd.message(func(m msg) error { return d.opset(m, f.opsets) })
		case 10:
			return fd.text(&f.key.domain)
		case 11:
			return fd.message(func(m msg) error { return d.attribute(m, &f.defaults, 0) })
		case 12:
			return fd.message(func(m msg) error { return d.value(m, &f.body.infos) })
		case 13:
			return fd.text(&f.key.overload)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", brief(f.key.name), err)
	}
	f.key.domain = domainName(f.key.domain)
	f.types = make(map[string]*typeProto, len(f.body.infos))
	for i := range f.body.infos {
		f.types[f.body.infos[i].name] = &f.body.infos[i].typ
	}
	return f, d.charge(512 + 64*len(f.types))
}

func (d *decoder) graph(m msg, depth int) (*graphProto, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("byte %d: %w: subgraphs nested more than %d deep", m.off, ErrLimit, maxNesting)
	}
	if err := d.charge(int(unsafe.Sizeof(graphProto{}))); err != nil {
		return nil, err
	}
	g := &graphProto{}
	initializer := func(read func(msg) (string, *tensor.Tensor, error)) func(m msg) error {
		return func(m msg) error {
			name, t, err := read(m)
			if err != nil {
				return fmt.Errorf("initializer: %w", err)
			}
			g.inits = append(g.inits, namedTensor{name, t})
			return nil
		}
	}
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.message(func(m msg) error { return d.node(m, g, depth) })
		case 2:
			return fd.text(&g.name)
		case 5:
			return fd.message(initializer(d.tensor))
		case 11:
			return fd.message(func(m msg) error { return d.value(m, &g.inputs) })
		case 12:
			return fd.message(func(m msg) error { return d.value(m, &g.outputs) })
		case 13:
			return fd.message(func(m msg) error { return d.value(m, &g.infos) })
		case 15:
			return fd.message(initializer(d.sparse))
		}
		return nil
	})
	return g, err
}

func (d *decoder) node(m msg, g *graphProto, depth int) error {
	n := &nodeProto{index: len(g.nodes)}
	if err := d.charge(448); err != nil {
		return err
	}
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return d.appendText(fd, &n.in)
		case 2:
			return d.appendText(fd, &n.out)
		case 3:
			return fd.text(&n.name)
		case 4:
			return fd.text(&n.op)
		case 5:
			return fd.message(func(m msg) error { return d.attribute(m, &n.attrs, depth) })
		case 7:
			return fd.text(&n.domain)
		case 8:
			return fd.text(&n.overload)
		}
		return nil
	})
	n.domain = domainName(n.domain)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.label(), err)
	}
	if n.op == "" {
		return fmt.Errorf("node %s: %w", n.label(), m.errorf("no operator"))
	}
	g.nodes = append(g.nodes, n)
	return nil
}

// opName is the operator's name in the graph.
func (n *nodeProto) opName() string {
	if n.domain == "" {
		return n.op
	}
	return n.domain + "." + n.op
}

// label describes the node in errors, as in "conv_3 (Conv)".
func (n *nodeProto) label() string {
	name := n.name
	if name == "" {
		name = "#" + strconv.Itoa(n.index)
	}
	return brief(name) + " (" + brief(n.opName()) + ")"
}

// brief cuts names that would fill a page.
func brief(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// Types of attributes.
const (
	attrFloat = iota + 1
	attrInt
	attrString
	attrTensor
	attrGraph
	attrFloats
	attrInts
	attrStrings
	attrTensors
	attrGraphs
	attrSparse
	attrSparses
	attrType
	attrTypes
)

func (d *decoder) attribute(m msg, dst *[]attrProto, depth int) error {
	a := attrProto{}
	if err := d.charge(256); err != nil {
		return err
	}
	var (
		typ    int64
		f      float32
		i      int64
		s      string
		t      *tensor.Tensor
		g      *graphProto
		floats []float32
		ints   []int64
		strs   []string
		tp     typeProto
	)
	seen := 0 // the type that the fields suggest, for files that leave type out
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&a.name)
		case 2:
			seen = attrFloat
			f = math.Float32frombits(uint32(fd.u))
			return fd.want(protowire.Fixed32Type)
		case 3:
			seen = attrInt
			return fd.int(&i)
		case 4:
			seen = attrString
			return fd.text(&s)
		case 5:
			seen = attrTensor
			return fd.message(func(m msg) (err error) { _, t, err = d.tensor(m); return err })
		case 6:
			seen = attrGraph
			return fd.message(func(m msg) (err error) { g, err = d.graph(m, depth+1); return err })
		case 7:
			seen = attrFloats
			return fd.numbers(protowire.Fixed32Type, func(u uint64) error {
				floats = append(floats, math.Float32frombits(uint32(u)))
				return d.charge(8)
			})
		case 8:
			seen = attrInts
			return d.appendInts(fd, &ints)
		case 9:
			seen = attrStrings
			return d.appendText(fd, &strs)
		case 14:
			seen = attrType
			return fd.message(func(m msg) (err error) { tp, err = d.typ(m, 0); return err })
		case 20:
			return fd.int(&typ)
		case 21:
			return fd.text(&a.ref)
		case 22:
			seen = attrSparse
			return fd.message(func(m msg) (err error) { _, t, err = d.sparse(m); return err })
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("attribute %s: %w", brief(a.name), err)
	}
	if a.name == "" {
		return m.errorf("attribute without a name")
	}
	if typ == 0 {
		typ = int64(seen)
	}
	if a.ref == "" {
		switch typ {
		case attrFloat:
			a.value = f
		case attrInt:
			a.value = i
		case attrString:
			a.value = s
		case attrTensor, attrSparse:
			if t == nil {
				return fmt.Errorf("attribute %s: %w", brief(a.name), m.errorf("no tensor"))
			}
			a.value = t
		case attrGraph:
			if g == nil {
				return fmt.Errorf("attribute %s: %w", brief(a.name), m.errorf("no graph"))
			}
			a.value = g
		case attrFloats:
			a.value = floats
		case attrInts:
			a.value = ints
		case attrStrings:
			a.value = strs
		case attrType:
			a.value = tp
		case attrTensors, attrGraphs, attrSparses, attrTypes:
			return fmt.Errorf("byte %d: attribute %s: %w: attribute type %d", m.off, a.name, ErrUnsupported, typ)
		default:
			return fmt.Errorf("attribute %s: %w", brief(a.name), m.errorf("attribute type %d", typ))
		}
	}
	*dst = append(*dst, a)
	return nil
}

func (d *decoder) value(m msg, dst *[]valueProto) error {
	var v valueProto
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&v.name)
		case 2:
			return fd.message(func(m msg) (err error) { v.typ, err = d.typ(m, 0); return err })
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("value %s: %w", brief(v.name), err)
	}
	return grow(d, dst, v)
}

func (d *decoder) typ(m msg, depth int) (typeProto, error) {
	var t typeProto
	if depth > maxTypeDepth {
		return t, fmt.Errorf("byte %d: %w: types nested more than %d deep", m.off, ErrLimit, maxTypeDepth)
	}
	nested := func(k Kind) func(m msg) error {
		return func(m msg) error {
			t.kind, t.dtype = k, tensor.Sequence
			return each(m, func(fd *field) error {
				if fd.num != 1 {
					return nil
				}
				return fd.message(func(m msg) error {
					e, err := d.typ(m, depth+1)
					t.elem = &e
					if err == nil {
						err = d.charge(768)
					}
					return err
				})
			})
		}
	}
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.message(func(m msg) error { return d.tensorType(m, &t) })
		case 4:
			return fd.message(nested(KindSequence))
		case 5:
			t.other = "map"
		case 7:
			t.other = "opaque"
		case 8:
			t.other = "sparse tensor"
		case 9:
			return fd.message(nested(KindOptional))
		}
		return nil
	})
	return t, err
}

func (d *decoder) tensorType(m msg, t *typeProto) error {
	t.kind = KindTensor
	return each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			var n int64
			if err := fd.int(&n); err != nil || n == 0 {
				return err
			}
			var err error
			if t.dtype, err = ElemType(n); err != nil {
				t.other = fmt.Sprintf("tensor of element type %d", n)
			}
		case 2:
			t.shape = tensor.Shape{}
			return fd.message(func(m msg) error {
				return each(m, func(fd *field) error {
					if fd.num != 1 {
						return nil
					}
					if len(t.shape) == tensor.MaxRank {
						return fmt.Errorf("byte %d: %w: rank above %d", fd.off, ErrLimit, tensor.MaxRank)
					}
					return fd.message(func(m msg) error { return d.dim(m, t) })
				})
			})
		}
		return nil
	})
}

// dim reads one dimension: a number, a name or nothing.
func (d *decoder) dim(m msg, t *typeProto) error {
	extent, name := -1, ""
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			var v int64
			if err := fd.int(&v); err != nil {
				return err
			}
			if v > math.MaxInt/16 {
				return fmt.Errorf("byte %d: %w: dimension %d: %w", fd.off, ErrLimit, v, tensor.ErrTooLarge)
			}
			extent = max(-1, int(v))
		case 2:
			return fd.text(&name)
		}
		return nil
	})
	t.shape = append(t.shape, extent)
	if name != "" {
		if err := d.charge(16 * tensor.MaxRank); err != nil {
			return err
		}
		for len(t.dims) < len(t.shape)-1 {
			t.dims = append(t.dims, "")
		}
		t.dims = append(t.dims, name)
	} else if t.dims != nil {
		t.dims = append(t.dims, "")
	}
	return err
}
