package model

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

// The text form of a graph, which Print writes and Parse reads:
//
//	// comments run to the end of the line
//	graph main(x: f32[batch,3,?,?], n: i64[]) -> (y, "a strange name") {
//	  meta "author" = "somebody"
//	  const w: f32[8,3,3,3]{0.5, ...}
//	  conv: c = Conv(x, w, b: f32[8]{0, ...}) {layout="NCHW", pads=[1,1,1,1]} @fp16 : f32[batch,8,?,?]
//	  y, _ = MaxPool(c) {kernel_shape=[2,2]}
//	  q = Quantize(y) : i8[?,8,?,?] q(0.25, -3)
//	  "a strange name" = If(cond) {then_branch=graph () -> (t) {
//	    t = Relu(y)
//	  }, else_branch=graph () -> (y) {
//	  }}
//	}
//
// A node is NAME: OUTPUTS = OP(INPUTS) {ATTRIBUTES} @NUMERICS : TYPES. The name may be left out where it is that of the
// first output; attributes, numerics and types may be left out where there are none. _ stands for an absent input or
// output, () for no outputs at all.
//
// A name is a word of letters, digits and any of _ . / + - $, or else quoted as in Go. Values of the same name are
// told apart by an ordinal: x, x#2, x#3.
//
// A type is f32[1,n,?], where n names an unknown extent and n=4 a known one; f32 alone leaves the rank open,
// ?[1,2] the element type. q(SCALE, ZERO) or q([SCALES], [ZEROS], axis=A) follows where integers stand for reals.
//
// A constant is a type and its elements: {1, 2, 3}, where ", ..." repeats the last one, or hex"..." or b64"..." (the
// bytes), or #1234abcd (left out; the beginning of their hash), which parses to a constant without data. Constants
// stand among a node's inputs, where the name may be left out, or in declarations of their own, at the head of the
// innermost graph that holds all their readers.
//
// An attribute is a number (a float if it has a point or an exponent), a string, a list of these ([], []float and
// []string are the empty ones), a constant, or, for a subgraph, a graph.
const (
	inlineElems  = 8       // longest constant that is printed among a node's inputs
	decimalElems = 16      // longest constant that is printed as numbers
	maxFill      = 1 << 26 // bytes that all "..." of one text may stand for
	maxText      = 1 << 30 // bytes of text that Parse takes
	maxNesting   = 32      // depth of subgraphs, and of sequences within sequences
)

// Print writes the text form of g, large constants left out.
func Print(w io.Writer, g *Graph) error { return printText(w, g, false) }

// PrintFull writes the text form of g with all data, so that Parse gives an equal graph.
func PrintFull(w io.Writer, g *Graph) error { return printText(w, g, true) }

// String is what Print writes.
func (g *Graph) String() string {
	var b strings.Builder
	if err := Print(&b, g); err != nil {
		return err.Error()
	}
	return b.String()
}

func printText(w io.Writer, g *Graph, full bool) error {
	p := &printer{
		w: bufio.NewWriter(w), full: full, uses: map[*Value]int{}, home: map[*Value]*Graph{},
		outer: map[*Graph]*Graph{}, depth: map[*Graph]int{}, consts: map[*Graph][]*Value{},
	}
	if err := p.survey(g, nil); err != nil {
		return err
	}
	for _, v := range p.order {
		p.consts[p.home[v]] = append(p.consts[p.home[v]], v)
	}
	p.graph(g)
	p.str("\n")
	return p.w.Flush()
}

type printer struct {
	w      *bufio.Writer
	full   bool
	filled int
	uses   map[*Value]int    // readers of each constant
	home   map[*Value]*Graph // the innermost graph that holds them all
	order  []*Value          // constants in order of first use
	consts map[*Graph][]*Value
	outer  map[*Graph]*Graph // the graph around each graph
	depth  map[*Graph]int
	scopes []printScope
}

type printScope struct {
	keys  map[*Value]string
	count map[string]int
}

// survey counts the readers of each constant and finds its home.
func (p *printer) survey(g, outer *Graph) error {
	if _, ok := p.depth[g]; ok {
		return fmt.Errorf("graph %s stands in more than one place", g.Name)
	}
	if outer != nil {
		p.depth[g], p.outer[g] = p.depth[outer]+1, outer
	} else {
		p.depth[g] = 0
	}
	if p.depth[g] > maxNesting {
		return fmt.Errorf("graph %s: subgraphs are nested more than %d deep", g.Name, maxNesting)
	}
	use := func(v *Value, n int) {
		if v == nil || v.Const == nil {
			return
		}
		p.uses[v] += n
		h := p.home[v]
		if h == nil {
			p.home[v] = g
			p.order = append(p.order, v)
			return
		}
		for x := g; h != x; {
			if p.depth[x] > p.depth[h] {
				x = p.outer[x]
			} else {
				h = p.outer[h]
			}
		}
		p.home[v] = h
	}
	for _, n := range g.Nodes {
		if n == nil {
			return fmt.Errorf("graph %s: a node is nil", g.Name)
		}
		for _, v := range n.In {
			use(v, 1)
		}
		for _, name := range n.GraphNames() {
			if n.Graphs[name] == nil {
				return fmt.Errorf("%s (%s): subgraph %s is nil", n.Name, n.Op, name)
			}
			if err := p.survey(n.Graphs[name], g); err != nil {
				return err
			}
		}
	}
	for _, v := range g.Outputs {
		use(v, 2) // never printed among a node's inputs
	}
	return nil
}

func (p *printer) str(s string) { p.w.WriteString(s) }

func (p *printer) indent(by int) {
	p.str("\n")
	for range len(p.scopes) + by {
		p.str("  ")
	}
}

// define chooses how v is called from here on.
func (p *printer) define(v *Value) string {
	n := 1
	for _, s := range p.scopes {
		n += s.count[v.Name]
	}
	s := &p.scopes[len(p.scopes)-1]
	s.count[v.Name]++
	key := quoteName(v.Name)
	if n > 1 {
		key += "#" + strconv.Itoa(n)
	}
	s.keys[v] = key
	return key
}

// ref is what v is called; its bare name where nothing defines it.
func (p *printer) ref(v *Value) string {
	if v == nil {
		return "_"
	}
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if k, ok := p.scopes[i].keys[v]; ok {
			return k
		}
	}
	return quoteName(v.Name)
}

func (p *printer) graph(g *Graph) {
	p.scopes = append(p.scopes, printScope{map[*Value]string{}, map[string]int{}})
	p.str("graph ")
	if g.Name != "" {
		p.str(quoteName(g.Name))
	}
	p.str("(")
	for i, v := range g.Inputs {
		if i > 0 {
			p.str(", ")
		}
		if v == nil {
			p.str("_")
			continue
		}
		p.str(p.define(v))
		if t := p.valueType(v); t != "?" {
			p.str(": " + t)
		}
	}
	p.str(") -> (")
	// The outputs are defined further down, so the body is written first, elsewhere.
	head := p.w
	var body strings.Builder
	p.w = bufio.NewWriter(&body)
	for _, k := range slices.Sorted(maps.Keys(g.Meta)) {
		p.indent(0)
		p.str("meta " + strconv.Quote(k) + " = " + strconv.Quote(g.Meta[k]))
	}
	for _, v := range p.consts[g] {
		if !p.inline(v) {
			p.indent(0)
			p.str("const " + p.define(v) + ": ")
			p.constant(v)
		}
	}
	for _, n := range g.Nodes {
		p.indent(0)
		p.node(n)
	}
	p.w.Flush()
	p.w = head
	for i, v := range g.Outputs {
		if i > 0 {
			p.str(", ")
		}
		p.str(p.ref(v))
	}
	p.str(") {" + body.String())
	p.indent(-1)
	p.str("}")
	p.scopes = p.scopes[:len(p.scopes)-1]
}

func (p *printer) inline(v *Value) bool {
	t := v.Const
	n, err := t.Shape.Size()
	return p.uses[v] == 1 && t.DType != tensor.Sequence && err == nil && n <= inlineElems && (n == 0 || t.HasData()) && decimal(t)
}

func (p *printer) node(n *Node) {
	first := ""
	for _, v := range n.Out {
		if v != nil {
			first = v.Name
			break
		}
	}
	if n.Name != first || first == "" {
		p.str(quoteName(n.Name) + ": ")
	}
	// Constants and subgraphs come before the outputs are defined, so that no subgraph sees them.
	head := p.w
	var rest strings.Builder
	p.w = bufio.NewWriter(&rest)
	p.str(" = " + quoteName(n.Op) + "(")
	for i, v := range n.In {
		if i > 0 {
			p.str(", ")
		}
		if v != nil && v.Const != nil && p.inline(v) {
			p.str(p.define(v) + ": ")
			p.constant(v)
		} else {
			p.str(p.ref(v))
		}
	}
	p.str(")")
	p.attrs(n)
	if n.Num != num.Default {
		p.str(" @" + n.Num.String())
	}
	p.w.Flush()
	p.w = head
	if len(n.Out) == 0 {
		p.str("()")
	}
	known := false
	for i, v := range n.Out {
		if i > 0 {
			p.str(", ")
		}
		if v == nil {
			p.str("_")
			continue
		}
		p.str(p.define(v))
		known = known || p.valueType(v) != "?"
	}
	p.str(rest.String())
	if !known {
		return
	}
	for i, v := range n.Out {
		p.str([]string{" : ", ", "}[min(i, 1)])
		if v == nil {
			p.str("_")
		} else {
			p.str(p.valueType(v))
		}
	}
}

func (p *printer) attrs(n *Node) {
	sep := " {"
	next := func(name string) {
		p.str(sep + quoteName(name) + "=")
		sep = ", "
	}
	for _, name := range n.Attrs.Names() {
		next(name)
		switch v := n.Attrs[name].(type) {
		case int64:
			p.str(strconv.FormatInt(v, 10))
		case float32:
			p.str(floatAttr(v))
		case string:
			p.str(strconv.Quote(v))
		case []int64:
			list(p, "[]", v, func(x int64) string { return strconv.FormatInt(x, 10) })
		case []float32:
			list(p, "[]float", v, floatAttr)
		case []string:
			list(p, "[]string", v, strconv.Quote)
		case *Tensor:
			p.tensor(v, 0)
		default:
			p.str(strconv.Quote(fmt.Sprintf("invalid attribute of type %T", v)))
		}
	}
	for _, name := range n.GraphNames() {
		next(name)
		p.graph(n.Graphs[name])
	}
	if sep == ", " {
		p.str("}")
	}
}

func list[T any](p *printer, empty string, v []T, f func(T) string) {
	if len(v) == 0 {
		p.str(empty)
		return
	}
	for i, x := range v {
		p.str([]string{"[", ","}[min(i, 1)] + f(x))
	}
	p.str("]")
}

// floatAttr prints a float so that it is not taken for an integer.
func floatAttr(f float32) string {
	s := float(float64(f), 32)
	if strings.Trim(s, "-0123456789") == "" {
		s += ".0"
	}
	return s
}

func (p *printer) valueType(v *Value) string { return v.typeText(p.full) }

// typeText writes v's type; long quantisation is left out unless full is set.
func (v *Value) typeText(full bool) string {
	var b strings.Builder
	if v.DType == tensor.Invalid {
		b.WriteString("?")
	} else {
		b.WriteString(v.DType.String())
	}
	if v.Shape != nil {
		b.WriteString("[")
		for i, d := range v.Shape {
			if i > 0 {
				b.WriteString(",")
			}
			name := ""
			if i < len(v.Dims) {
				name = v.Dims[i]
			}
			switch {
			case name != "" && d >= 0:
				fmt.Fprintf(&b, "%s=%d", quoteDim(name), d)
			case name != "":
				b.WriteString(quoteDim(name))
			case d >= 0:
				b.WriteString(strconv.Itoa(d))
			default:
				b.WriteString("?")
			}
		}
		b.WriteString("]")
	}
	quantText(&b, v.Quant, full)
	return b.String()
}

func quantText(b *strings.Builder, q *QParams, full bool) {
	if q == nil {
		return
	}
	b.WriteString(" q(")
	switch {
	case len(q.Scale) == 1:
		b.WriteString(float(float64(q.Scale[0]), 32))
		if z := q.ZeroAt(0); z != 0 {
			fmt.Fprintf(b, ", %d", z)
		}
	case len(q.Scale) > decimalElems && !full:
		h := sha256.New()
		h.Write(tensor.Bytes(q.Scale))
		h.Write(tensor.Bytes(q.Zero))
		fmt.Fprintf(b, "#%x, axis=%d", h.Sum(nil)[:4], q.Axis)
	default:
		b.WriteString("[")
		for i, s := range q.Scale {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(float(float64(s), 32))
		}
		b.WriteString("]")
		zero := false
		for _, z := range q.Zero {
			zero = zero || z != 0
		}
		if zero {
			b.WriteString(", [")
			for i, z := range q.Zero {
				if i > 0 {
					b.WriteString(", ")
				}
				b.WriteString(strconv.Itoa(int(z)))
			}
			b.WriteString("]")
		}
		fmt.Fprintf(b, ", axis=%d", q.Axis)
	}
	b.WriteString(")")
}

// constant writes v's type and elements; the tensor's own header says nothing that the value does not.
func (p *printer) constant(v *Value) {
	if v.Const.DType != tensor.Sequence {
		p.str(p.valueType(v))
	}
	p.elements(v.Const, 0)
}

func (p *printer) tensor(t *Tensor, depth int) {
	if t == nil {
		p.str("f32[0]#nil")
		return
	}
	if t.DType != tensor.Sequence {
		p.str(p.valueType(&Value{DType: t.DType, Shape: t.Shape, Quant: t.Quant}))
	}
	p.elements(t, depth)
}

func (p *printer) elements(t *Tensor, depth int) {
	if t.DType == tensor.Sequence {
		p.str("sequence{")
		for i, e := range t.Elems {
			if i > 0 {
				p.str(", ")
			}
			if depth > maxNesting {
				p.str("f32[0]#deep")
				continue
			}
			p.tensor(e, depth+1)
		}
		p.str("}")
		return
	}
	n, err := t.Shape.Size()
	switch {
	case err != nil || n > 0 && !t.HasData() || t.DType == tensor.String && len(t.Str) != n || t.DType != tensor.String && len(t.Data) != tensor.ByteSize(t.DType, n):
		p.str("#none")
	case decimal(t) && n <= decimalElems || t.DType == tensor.String && p.full:
		p.numbers(t, n)
	case n > 0 && decimal(t) && uniform(t, n) && p.filled+len(t.Data) <= maxFill:
		p.filled += len(t.Data)
		p.numbers(t, 1)
	case !p.full && (len(t.Data) > 32 || t.DType == tensor.String):
		p.str("#" + digest(t))
	case len(t.Data) <= 32:
		p.str(` hex"` + hex.EncodeToString(t.Data) + `"`)
	default:
		p.str(` b64"`)
		e := base64.NewEncoder(base64.StdEncoding, p.w)
		e.Write(t.Data)
		e.Close()
		p.str(`"`)
	}
}

// numbers writes the first n elements; if there are more, they are all the same.
func (p *printer) numbers(t *Tensor, n int) {
	same := n > 1 && uniform(t, n)
	for i := range n {
		if same && i == 1 {
			break
		}
		p.str([]string{"{", ", "}[min(i, 1)])
		p.str(element(t, i))
	}
	switch {
	case n == 0:
		p.str("{}")
	case same || t.Len() > n:
		p.str(", ...}")
	default:
		p.str("}")
	}
}

// quoteName prints a name bare where the lexer reads it as one word that means nothing else.
func quoteName(s string) string {
	switch s {
	case "", "_", "const", "meta", "graph", "...", "inf", "nan":
		return strconv.Quote(s)
	}
	if !strings.Contains(s, "//") && all([]byte(s), wordByte) {
		return s
	}
	return strconv.Quote(s)
}

func quoteDim(s string) string {
	if s[0] >= '0' && s[0] <= '9' {
		return strconv.Quote(s)
	}
	return quoteName(s)
}
