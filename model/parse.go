package model

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

// ErrSyntax is wrapped by the errors of Parse, which begin with line:column.
var ErrSyntax = errors.New("graph text")

// Parse reads the text form of a graph. The result is not verified, but its names are resolved: every value that is
// read has been defined.
func Parse(text []byte) (g *Graph, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrSyntax, len(text), maxText)
	}
	p := &parser{src: string(text)}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*syntaxError)
			if !ok {
				panic(r)
			}
			g, err = nil, e.locate(p.src)
		}
	}()
	p.next()
	g = p.graph()
	p.want(tokEOF)
	return g, nil
}

type syntaxError struct {
	pos int
	msg string
}

func (e *syntaxError) locate(src string) error {
	before := src[:e.pos]
	line := 1 + strings.Count(before, "\n")
	col := 1 + len(before) - (strings.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("%d:%d: %w: %s", line, col, ErrSyntax, e.msg)
}

type tokKind int

const (
	tokEOF tokKind = iota
	tokWord
	tokString
	tokArrow
	// all others: the character itself
)

func (k tokKind) String() string {
	switch k {
	case tokEOF:
		return "the end"
	case tokWord:
		return "a word"
	case tokString:
		return "a string"
	case tokArrow:
		return "->"
	}
	return strconv.QuoteRune(rune(k))
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c != 0 && strings.IndexByte("_./+-$", c) >= 0
}

// key is how a value is called in the text.
type key struct {
	name    string
	ordinal int
}

type parser struct {
	src    string
	at     int // start of the token
	end    int // and its end
	kind   tokKind
	text   string // of a word, or a string's value
	scopes []map[key]*Value
	filled int
	fresh  int
}

func (p *parser) fail(pos int, format string, args ...any) {
	panic(&syntaxError{pos, fmt.Sprintf(format, args...)})
}

// next reads one token.
func (p *parser) next() {
	s := p.src
	i := p.end
	for i < len(s) {
		if c := s[i]; c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
		} else if strings.HasPrefix(s[i:], "//") {
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				n = len(s) - i
			}
			i += n
		} else {
			break
		}
	}
	p.at, p.text = i, ""
	switch {
	case i == len(s):
		p.kind, p.end = tokEOF, i
	case strings.HasPrefix(s[i:], "->"):
		p.kind, p.end = tokArrow, i+2
	case wordByte(s[i]):
		for i < len(s) && wordByte(s[i]) && !strings.HasPrefix(s[i:], "->") && !strings.HasPrefix(s[i:], "//") {
			i++
		}
		p.kind, p.end, p.text = tokWord, i, s[p.at:i]
	case s[i] == '"':
		for i++; i < len(s) && s[i] != '"' && s[i] != '\n'; i++ {
			if s[i] == '\\' {
				i++
			}
		}
		if i >= len(s) || s[i] != '"' {
			p.fail(p.at, "string without end")
		}
		t, err := strconv.Unquote(s[p.at : i+1])
		if err != nil {
			p.fail(p.at, "bad string")
		}
		p.kind, p.end, p.text = tokString, i+1, t
	case strings.IndexByte("()[]{},:=@#?", s[i]) >= 0:
		p.kind, p.end = tokKind(s[i]), i+1
	default:
		p.fail(i, "unexpected %q", s[i])
	}
}

func (p *parser) want(k tokKind) {
	if p.kind != k {
		p.fail(p.at, "found %s where %v is needed", p.found(), k)
	}
	if k != tokEOF {
		p.next()
	}
}

func (p *parser) found() string {
	if p.kind == tokWord || p.kind == tokString {
		if len(p.text) > 40 {
			return strconv.Quote(p.text[:40] + "...")
		}
		return strconv.Quote(p.text)
	}
	return p.kind.String()
}

func (p *parser) take(k tokKind) bool {
	if p.kind != k {
		return false
	}
	p.next()
	return true
}

func (p *parser) isWord(w string) bool { return p.kind == tokWord && p.text == w }

func (p *parser) takeWord(w string) bool {
	if !p.isWord(w) {
		return false
	}
	p.next()
	return true
}

func (p *parser) name() string {
	s := p.text
	if p.kind != tokWord && p.kind != tokString {
		p.fail(p.at, "found %s where a name is needed", p.found())
	}
	p.next()
	return s
}

// each calls f for every item of a list, up to the closing token.
func (p *parser) each(closing tokKind, f func()) {
	for p.kind != closing {
		f()
		if p.kind != closing {
			p.want(',')
		}
	}
	p.next()
}

func (p *parser) key() key {
	k := key{p.name(), 1}
	if p.take('#') {
		at := p.at
		n, err := strconv.Atoi(p.name())
		if err != nil || n < 2 {
			p.fail(at, "ordinals begin with 2")
		}
		k.ordinal = n
	}
	return k
}

func (k key) String() string {
	if k.ordinal > 1 {
		return fmt.Sprintf("%s#%d", quoteName(k.name), k.ordinal)
	}
	return quoteName(k.name)
}

func (p *parser) find(k key) *Value {
	for _, s := range slices.Backward(p.scopes) {
		if v := s[k]; v != nil {
			return v
		}
	}
	return nil
}

func (p *parser) define(at int, k key, v *Value) {
	if p.find(k) != nil {
		p.fail(at, "value %v is defined twice", k)
	}
	v.Name = k.name
	p.scopes[len(p.scopes)-1][k] = v
}

func (p *parser) ref(at int, k key) *Value {
	v := p.find(k)
	if v == nil {
		p.fail(at, "value %v is not defined here", k)
	}
	return v
}

func (p *parser) graph() *Graph {
	at := p.at
	if !p.takeWord("graph") {
		p.fail(at, "found %s where a graph is needed", p.found())
	}
	if len(p.scopes) > maxNesting {
		p.fail(at, "subgraphs are nested more than %d deep", maxNesting)
	}
	p.scopes = append(p.scopes, map[key]*Value{})
	g := &Graph{}
	if p.kind != '(' {
		g.Name = p.name()
	}
	p.want('(')
	p.each(')', func() {
		at, v := p.at, &Value{}
		k := p.key()
		if p.take(':') {
			p.valueType(v)
		}
		p.define(at, k, v)
		g.Inputs = append(g.Inputs, v)
	})
	p.want(tokArrow)
	p.want('(')
	type output struct {
		at int
		k  key
	}
	var outputs []output
	p.each(')', func() {
		at := p.at
		outputs = append(outputs, output{at, p.key()})
	})
	p.want('{')
	for p.kind != '}' {
		switch {
		case p.takeWord("meta"):
			at, k := p.at, p.name()
			if _, ok := g.Meta[k]; ok {
				p.fail(at, "metadata %q is given twice", k)
			}
			p.want('=')
			if g.Meta == nil {
				g.Meta = map[string]string{}
			}
			g.Meta[k] = p.name()
		case p.takeWord("const"):
			at, k := p.at, p.key()
			p.want(':')
			p.define(at, k, p.constant())
		default:
			g.Nodes = append(g.Nodes, p.node())
		}
	}
	p.next()
	for _, o := range outputs {
		g.Outputs = append(g.Outputs, p.ref(o.at, o.k))
	}
	p.scopes = p.scopes[:len(p.scopes)-1]
	return g
}

func (p *parser) node() *Node {
	n := &Node{Attrs: attr.Attrs{}}
	type output struct {
		at int
		k  key
		v  *Value
	}
	var outputs []output
	item := func() {
		if p.takeWord("_") {
			outputs = append(outputs, output{})
			return
		}
		at := p.at
		outputs = append(outputs, output{at, p.key(), &Value{}})
	}
	named := false
	if p.kind != '(' {
		at := p.at
		item()
		if p.take(':') {
			named = true
			if outputs[0].v == nil || outputs[0].k.ordinal != 1 {
				p.fail(at, "this cannot name a node")
			}
			n.Name, outputs = outputs[0].k.name, nil
		}
	}
	switch {
	case len(outputs) == 0 && p.take('('):
		p.want(')')
	case len(outputs) == 0:
		item()
		fallthrough
	default:
		for p.take(',') {
			item()
		}
	}
	for _, o := range outputs {
		if o.v != nil && !named {
			n.Name, named = o.k.name, true
		}
	}
	p.want('=')
	n.Op = p.name()
	p.want('(')
	p.each(')', func() { n.In = append(n.In, p.input()) })
	if p.take('{') {
		p.each('}', func() { p.attr(n) })
	}
	if p.take('@') {
		at := p.at
		var err error
		if n.Num, err = num.Parse(p.name()); err != nil {
			p.fail(at, "%v", err)
		}
	}
	if p.take(':') {
		for i, o := range outputs {
			if i > 0 {
				p.want(',')
			}
			if at := p.at; p.takeWord("_") {
				continue
			} else if o.v == nil {
				p.fail(at, "type of an absent output")
			}
			p.valueType(o.v)
		}
	}
	for _, o := range outputs {
		if o.v != nil {
			p.define(o.at, o.k, o.v)
		}
		n.Out = append(n.Out, o.v)
	}
	return n
}

func (p *parser) input() *Value {
	if p.takeWord("_") {
		return nil
	}
	at, word := p.at, p.kind == tokWord
	start := *p
	k := p.key()
	if p.take(':') {
		v := p.constant()
		p.define(at, k, v)
		return v
	}
	if v := p.find(k); v != nil {
		return v
	}
	if _, err := tensor.ParseDType(k.name); err != nil || !word {
		return p.ref(at, k)
	}
	*p = start
	v := p.constant()
	for {
		p.fresh++
		k := key{"c" + strconv.Itoa(p.fresh), 1}
		if p.find(k) == nil {
			p.define(at, k, v)
			return v
		}
	}
}

func (p *parser) attr(n *Node) {
	at, name := p.at, p.name()
	p.want('=')
	if p.isWord("graph") {
		if n.Graphs[name] != nil {
			p.fail(at, "subgraph %s is given twice", name)
		}
		if n.Graphs == nil {
			n.Graphs = map[string]*Graph{}
		}
		n.Graphs[name] = p.graph()
		return
	}
	if n.Attrs.Has(name) {
		p.fail(at, "attribute %s is given twice", name)
	}
	switch {
	case p.kind == tokString:
		n.Attrs[name] = p.name()
	case p.take('['):
		n.Attrs[name] = p.list()
	default:
		if p.kind == tokWord {
			if _, err := tensor.ParseDType(p.text); err == nil {
				n.Attrs[name] = p.constant().Const
				return
			}
		}
		i, f, isInt := p.number()
		if isInt {
			n.Attrs[name] = i
		} else {
			n.Attrs[name] = f
		}
	}
}

// number reads a number, or true or false for 1 and 0.
func (p *parser) number() (int64, float32, bool) {
	at := p.at
	if p.kind != tokWord {
		p.fail(at, "found %s where a number is needed", p.found())
	}
	s := p.text
	p.next()
	switch s {
	case "true":
		return 1, 1, true
	case "false":
		return 0, 0, true
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, float32(i), true
	} else if errors.Is(err, strconv.ErrRange) {
		p.fail(at, "%s does not fit into 64 bits", s)
	}
	f, err := strconv.ParseFloat(s, 32)
	if err != nil {
		p.fail(at, "%q is no number", s)
	}
	return 0, float32(f), false
}

// list reads the rest of a list attribute; one float makes all numbers floats.
func (p *parser) list() any {
	var ints []int64
	var floats []float32
	var strs []string
	whole := true
	p.each(']', func() {
		if p.kind == tokString {
			strs = append(strs, p.name())
			return
		}
		i, f, isInt := p.number()
		ints, floats, whole = append(ints, i), append(floats, f), whole && isInt
	})
	switch {
	case strs != nil && ints != nil:
		p.fail(p.at, "list of numbers and strings")
	case strs != nil:
		return strs
	case !whole:
		return floats
	case ints != nil:
		return ints
	case p.takeWord("float"):
		return []float32{}
	case p.takeWord("string"):
		return []string{}
	}
	return []int64{}
}

// valueType reads what is known of v's type.
func (p *parser) valueType(v *Value) {
	at := p.at
	if !p.take('?') {
		d, err := tensor.ParseDType(p.name())
		if err != nil {
			p.fail(at, "%v", err)
		}
		v.DType = d
	}
	if p.take('[') {
		v.Shape = Shape{}
		var dims []string
		named := false
		p.each(']', func() {
			at := p.at
			name, d := "", -1
			switch {
			case p.take('?'):
			case p.kind == tokWord && p.text[0] >= '0' && p.text[0] <= '9':
				d = p.extent()
			default:
				if name = p.name(); p.take('=') {
					d = p.extent()
				}
				named = named || name != ""
			}
			if len(v.Shape) == tensor.MaxRank {
				p.fail(at, "rank above %d", tensor.MaxRank)
			}
			v.Shape, dims = append(v.Shape, d), append(dims, name)
		})
		if named {
			v.Dims = dims
		}
	}
	if p.takeWord("q") {
		v.Quant = p.quant()
	}
}

func (p *parser) extent() int {
	at := p.at
	n, err := strconv.ParseUint(p.name(), 10, 62)
	if err != nil {
		p.fail(at, "bad extent")
	}
	return tensor.Int(int64(n))
}

func (p *parser) quant() *QParams {
	q := &QParams{}
	p.want('(')
	arg := 0
	p.each(')', func() {
		at := p.at
		switch {
		case p.kind == '#':
			p.fail(at, "the scales are left out of this text")
		case arg > 0 && p.takeWord("axis"):
			p.want('=')
			q.Axis = p.extent()
			arg = 2
		case arg == 0:
			p.oneOrMore(func() {
				_, f, _ := p.number()
				q.Scale = append(q.Scale, f)
			})
		case arg == 1:
			p.oneOrMore(func() {
				z, _, isInt := p.number()
				if !isInt || int64(int32(z)) != z {
					p.fail(at, "zero points are integers of 32 bits")
				}
				q.Zero = append(q.Zero, int32(z))
			})
		default:
			p.fail(at, "q takes scale, zero point and axis")
		}
		arg++
	})
	return q
}

func (p *parser) oneOrMore(f func()) {
	if p.take('[') {
		p.each(']', f)
	} else {
		f()
	}
}

// constant reads a type and elements.
func (p *parser) constant() *Value {
	return p.literal(0)
}

func (p *parser) literal(depth int) *Value {
	at := p.at
	v := &Value{}
	p.valueType(v)
	t := &Tensor{DType: v.DType, Quant: v.Quant}
	v.Const = t
	if v.DType == tensor.Invalid {
		p.fail(at, "a constant needs an element type")
	}
	if v.DType == tensor.Sequence {
		if v.Shape != nil || v.Quant != nil || depth > maxNesting {
			p.fail(at, "bad sequence")
		}
		t.Elems = []*Tensor{}
		p.want('{')
		p.each('}', func() { t.Elems = append(t.Elems, p.literal(depth+1).Const) })
		return v
	}
	if v.Shape != nil && !v.Shape.Known() {
		p.fail(at, "a constant needs a known shape")
	}
	p.elements(at, v)
	t.Shape = v.Shape.Clone()
	return v
}

// elements reads a constant's elements; where the type leaves the rank open, one element makes a scalar, else a vector.
func (p *parser) elements(at int, v *Value) {
	t := v.Const
	n := 1
	if v.Shape != nil {
		var err error
		if n, err = v.Shape.Size(); err != nil {
			p.fail(at, "%v", err)
		}
	}
	size := tensor.ByteSize(v.DType, n)
	switch {
	case p.take('#'):
		p.name()
		if v.Shape == nil {
			v.Shape = Shape{}
		}
	case p.isWord("hex"), p.isWord("b64"):
		decode := hex.DecodeString
		if p.text == "b64" {
			decode = base64.StdEncoding.DecodeString
		}
		p.next()
		if p.kind != tokString || v.DType == tensor.String || v.Shape == nil {
			p.fail(p.at, "bytes need a shape, numbers and a string to stand in")
		}
		data, err := decode(p.text)
		if err != nil || len(data) != size {
			p.fail(p.at, "%v%v needs %d bytes, these are %d (%v)", v.DType, v.Shape, size, len(data), err)
		}
		p.next()
		t.Data = tensor.AlignedBytes(size)
		copy(t.Data, data)
	default:
		p.want('{')
		e := elements{dtype: v.DType, str: []string{}, data: []byte{}}
		fill := false
		p.each('}', func() {
			at := p.at
			if fill {
				p.fail(at, "nothing may follow ...")
			}
			if e.n > 0 && p.takeWord("...") {
				fill = true
				return
			}
			if (p.kind == tokString) != (v.DType == tensor.String) {
				p.fail(at, "found %s among elements of type %v", p.found(), v.DType)
			}
			if err := e.add(p.name()); err != nil {
				p.fail(at, "%v", err)
			}
		})
		if v.Shape == nil {
			if v.Shape = (Shape{}); e.n != 1 {
				v.Shape, n = Shape{e.n}, e.n
			}
		}
		if fill && e.n < n {
			bytes := n - e.n
			if v.DType == tensor.String {
				bytes *= 16
			} else {
				bytes = tensor.ByteSize(v.DType, n)
			}
			if p.filled += bytes; p.filled > maxFill || bytes > maxFill {
				p.fail(at, "... stands for more than %d bytes", maxFill)
			}
			e.fill(n)
		}
		if e.n != n {
			p.fail(at, "%v%v needs %d elements, these are %d", v.DType, v.Shape, n, e.n)
		}
		e.store(t)
	}
}
