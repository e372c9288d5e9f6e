package container_test

// A reader of .edge files that knows FORMAT.md alone. It uses nothing of this module, which TestIndependentReader holds, and
// turns a file into text.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// pair is an entry of a CBOR map, pairs a map in its order.
type pair struct {
	key   string
	value any
	raw   []byte
}
type pairs []pair

func (p pairs) get(key string) any {
	for _, e := range p {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// rest lists the fields that are not named, as text.
func (p pairs) rest(known string) string {
	var list []string
	for _, e := range p {
		if !strings.Contains(" "+known+" ", " "+e.key+" ") {
			list = append(list, fmt.Sprintf("%s=%x", e.key, e.raw))
		}
	}
	sort.Strings(list)
	return strings.Join(list, " ")
}

// must ends reading; read turns it into an error.
func must(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Errorf(format, args...))
	}
}

// cborReader reads one item: uint64, int64 (below 0), float64, bool, nil, []byte, string, []any or pairs.
type cborReader struct {
	b  []byte
	at int
}

func (r *cborReader) item() any {
	must(r.at < len(r.b), "truncated")
	head := r.b[r.at]
	r.at++
	major, info := head>>5, uint64(head&31)
	must(info < 28, "indefinite length or reserved")
	n := info
	if info >= 24 {
		k := 1 << (info - 24)
		must(r.at+k <= len(r.b), "truncated")
		n = 0
		for _, c := range r.b[r.at : r.at+k] {
			n = n<<8 | uint64(c)
		}
		r.at += k
		least := [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]
		must(major == 7 || n >= least, "number %d not in its shortest form", n)
	}
	switch major {
	case 0:
		return n
	case 1:
		must(n <= math.MaxInt64, "number too small")
		return -1 - int64(n)
	case 2, 3:
		must(n <= 65536 && uint64(len(r.b)-r.at) >= n, "string of %d bytes", n)
		s := r.b[r.at : r.at+int(n)]
		r.at += int(n)
		if major == 2 {
			return bytes.Clone(s)
		}
		must(utf8.Valid(s), "text is not UTF-8")
		return string(s)
	case 4:
		list := []any{}
		for range n {
			list = append(list, r.item())
		}
		return list
	case 5:
		var m pairs
		var last []byte
		for range n {
			from := r.at
			key, ok := r.item().(string)
			must(ok, "a key that is no text")
			enc := r.b[from:r.at]
			must(last == nil || bytes.Compare(last, enc) < 0, "key %q out of order", key)
			last = enc
			from = r.at
			m = append(m, pair{key, r.item(), nil})
			m[len(m)-1].raw = r.b[from:r.at]
		}
		return m
	case 7:
		switch info {
		case 20, 21:
			return info == 21
		case 22:
			return nil
		case 25:
			sign, exp, frac := n>>15, int(n>>10&31), float64(n&1023)
			f := math.Ldexp(frac, -24)
			switch {
			case exp == 31 && frac == 0:
				f = math.Inf(1)
			case exp == 31:
				f = math.NaN()
			case exp > 0:
				f = math.Ldexp(1024+frac, exp-25)
			}
			if sign == 1 {
				f = -f
			}
			return f
		case 26:
			return float64(math.Float32frombits(uint32(n)))
		case 27:
			return math.Float64frombits(n)
		}
	}
	must(false, "item %02x", head)
	return nil
}

func integer(v any) int64 {
	switch v := v.(type) {
	case uint64:
		must(v <= math.MaxInt64, "%d is too large", v)
		return int64(v)
	case int64:
		return v
	}
	must(false, "%v is no integer", v)
	return 0
}

func natural(v any) int { n := integer(v); must(n >= 0, "%d", n); return int(n) }

func array(v any, n int) []any {
	list, ok := v.([]any)
	must(ok && (n < 0 || len(list) == n), "%v is no array of %d", v, n)
	return list
}

func naturals(v any) []int {
	r := []int{}
	for _, x := range array(v, -1) {
		r = append(r, natural(x))
	}
	return r
}

func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		must(!utf8.Valid(v), "UTF-8 as bytes")
		return string(v)
	}
	must(false, "%v is no string", v)
	return ""
}

// sigReading is a signature as it stands in the file.
type sigReading struct {
	algorithm byte
	key       [16]byte
	bytes     []byte
}

// fileReading is a file of which all parts are found.
type fileReading struct {
	manifest pairs
	sigs     []sigReading
	payload  []byte
	area     []byte
	strings  []string
	chunks   [][]byte       // decoded
	kinds    map[uint64]int // chunks by encoding
}

// readFile reads and checks a whole file.
func readFile(b []byte) (f *fileReading, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok {
				e = fmt.Errorf("%v", r)
			}
			f, err = nil, e
		}
	}()
	le := binary.LittleEndian
	must(len(b) >= 48 && string(b[:8]) == "\x89EDGE\r\n\x1a" && le.Uint32(b[8:]) == 1, "no .edge file of version 1")
	enc, stored, size, area := le.Uint32(b[12:]), le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])
	must(enc < 2 && stored >= 1 && stored <= size && size <= 16777216 && (enc == 1 || stored == size) && le.Uint64(b[40:]) == 0, "header")
	must(uint64(len(b)) >= 48+stored+12+area, "length")
	digest := sha256.Sum256(b[:48+stored])
	f = &fileReading{payload: append([]byte("edgerun .edge signature 1\n"), digest[:]...), kinds: map[uint64]int{}}
	s := b[48+stored:]
	count, n := le.Uint32(s[4:]), uint64(le.Uint32(s[8:]))
	must(string(s[:4]) == "SIGS" && count <= 16 && n <= 65536 && uint64(len(b)) == 48+stored+12+n+area, "signature block")
	f.area = s[12+n:]
	s = s[12 : 12+n]
	for range count {
		k := int(le.Uint16(s[2:]))
		must(s[1] == 0, "signature")
		sig := sigReading{algorithm: s[0], key: [16]byte(s[4:20]), bytes: s[20 : 20+k]}
		must(len(f.sigs) == 0 || bytes.Compare(f.sigs[len(f.sigs)-1].key[:], sig.key[:]) < 0, "key ids do not ascend")
		f.sigs = append(f.sigs, sig)
		s = s[20+k:]
	}
	must(len(s) == 0, "signatures do not fill their block")
	m := b[48 : 48+stored]
	if enc == 1 {
		m = unzstd(m)
	}
	must(uint64(len(m)) == size, "manifest of %d bytes", len(m))
	r := &cborReader{b: m}
	f.manifest = r.item().(pairs)
	must(r.at == len(m) && natural(f.manifest.get("schema")) == 1 && f.manifest.get("requires") == nil, "manifest")
	for _, v := range array(f.manifest.get("strings"), -1) {
		f.strings = append(f.strings, v.(string))
	}
	seen, at := map[[32]byte]bool{}, 0
	for i, c := range array(f.manifest.get("chunks"), -1) {
		c := array(c, 5)
		id, kind, size, stored, hash := [32]byte(c[0].([]byte)), uint64(natural(c[1])), natural(c[2]), natural(c[3]), c[4].([]byte)
		must(size >= 1 && size <= 1048576 && stored >= 1 && stored <= size && !seen[id], "chunk %d", i)
		must((len(hash) == 0) == (kind == 0) && (kind != 0 || stored == size), "chunk %d", i)
		seen[id] = true
		raw := f.area[at : at+stored]
		at += stored
		if kind != 0 {
			must(sha256.Sum256(raw) == [32]byte(hash), "chunk %d: stored hash", i)
		}
		data := unpack(kind, raw, size)
		must(len(data) == size && sha256.Sum256(data) == id, "chunk %d: identity", i)
		f.chunks = append(f.chunks, data)
		f.kinds[kind]++
	}
	must(at == len(f.area), "chunks take %d of %d bytes", at, len(f.area))
	return f, nil
}

func unzstd(b []byte) []byte {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(16<<20))
	must(err == nil, "%v", err)
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	must(err == nil, "%v", err)
	return out
}

func unpack(kind uint64, raw []byte, size int) []byte {
	switch kind {
	case 0:
		return raw
	case 1:
		return unzstd(raw)
	case 2, 3, 4, 5, 6, 7:
		w := 2 << ((kind - 2) % 3)
		must(size%w == 0, "%d bytes in planes of %d", size, w)
		planes := unzstd(raw)
		must(len(planes) == size, "planes of %d bytes", len(planes))
		n, out := size/w, make([]byte, size)
		for i := range n {
			x := uint64(0)
			for k := range w {
				x |= uint64(planes[k*n+i]) << (8 * k)
			}
			if kind > 4 { // rotate right by one
				switch w {
				case 2:
					x = uint64(bits.RotateLeft16(uint16(x), -1))
				case 4:
					x = uint64(bits.RotateLeft32(uint32(x), -1))
				case 8:
					x = bits.RotateLeft64(x, -1)
				}
			}
			for k := range w {
				out[i*w+k] = byte(x >> (8 * k))
			}
		}
		return out
	case 8, 9:
		must(len(raw) == (size+1)/2, "%d bytes of nibbles", len(raw))
		must(size%2 == 0 || raw[len(raw)-1]>>4 == 0, "the unused nibble is not 0")
		out := make([]byte, size)
		for i := range out {
			v := raw[i/2] >> (i % 2 * 4) & 15
			if kind == 9 && v > 7 {
				v |= 0xf0
			}
			out[i] = v
		}
		return out
	}
	must(false, "encoding %d", kind)
	return nil
}

// signed reports whether the key, an SPKI in DER, has signed rightly.
func (f *fileReading) signed(spki []byte) error {
	h := sha256.Sum256(spki)
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return err
	}
	for _, s := range f.sigs {
		if s.key != [16]byte(h[:16]) {
			continue
		}
		ok := false
		switch k := key.(type) {
		case ed25519.PublicKey:
			ok = s.algorithm == 1 && ed25519.Verify(k, f.payload, s.bytes)
		case *ecdsa.PublicKey:
			sum := sha256.Sum256(f.payload)
			ok = s.algorithm == 2 && ecdsa.VerifyASN1(k, sum[:], s.bytes)
		}
		if !ok {
			return errors.New("wrong signature")
		}
		return nil
	}
	return errors.New("no signature of this key")
}

// numbers are the parameters of a quantisation.
type numbers struct {
	axis  int64
	scale []uint32 // bits
	zero  []int32
}

func (q *numbers) String() string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf(" q(%d %x %v)", q.axis, q.scale, q.zero)
}

// tensorText is how a tensor is written down.
func tensorText(dtype string, dims []int64, data []byte, strs []string, elems []string, q *numbers) string {
	if len(data) > 64 {
		data = fmt.Appendf(nil, "%x of %d", sha256.Sum256(data), len(data))
	}
	return fmt.Sprintf("%s%v %x %q %s%v", dtype, dims, data, strs, elems, q)
}

func (f *fileReading) quant(n int) *numbers {
	if n == 0 {
		return nil
	}
	w := array(array(f.manifest.get("quants"), -1)[n-1], 5)
	q := &numbers{axis: integer(w[0])}
	must(q.axis >= 0 && q.axis < 16, "axis %d", q.axis)
	words := func(b []byte) (list []uint32) {
		must(len(b)%4 == 0, "%d bytes of words", len(b))
		for i := 0; i < len(b); i += 4 {
			list = append(list, binary.LittleEndian.Uint32(b[i:]))
		}
		return list
	}
	q.scale = words(w[1].([]byte))
	if t := natural(w[3]); t > 0 {
		must(len(q.scale) == 0, "scales twice")
		q.scale = words(f.bytes(t-1, "f32"))
	}
	for _, z := range array(w[2], -1) {
		q.zero = append(q.zero, int32(integer(z)))
	}
	if t := natural(w[4]); t > 0 {
		must(len(q.zero) == 0, "zero points twice")
		for _, z := range words(f.bytes(t-1, "i32")) {
			q.zero = append(q.zero, int32(z))
		}
	}
	must(len(q.scale) > 0 && (len(q.zero) < 2 || len(q.zero) == len(q.scale)), "quantisation")
	return q
}

// raw finds a tensor's header and bytes.
func (f *fileReading) raw(i int) (w []any, dtype string, dims []int64, data []byte) {
	w = array(array(f.manifest.get("tensors"), -1)[i], 7)
	dtype, dims = f.strings[natural(w[0])], []int64{}
	n := int64(1)
	for _, d := range array(w[1], -1) {
		dims = append(dims, integer(d))
		n *= integer(d)
		must(n < 1<<59, "dims")
	}
	size := n
	switch dtype {
	case "string":
		size = integer(w[5])
		must(size >= 4*n, "strings of %d bytes", size)
	case "sequence":
		size = 0
	case "bool":
	default:
		digits := strings.TrimLeft(dtype, "abcdefghijklmnopqrstuvwxyz")
		width := int64(0)
		for len(digits) > 0 && digits[0] >= '0' && digits[0] <= '9' {
			width, digits = 10*width+int64(digits[0]-'0'), digits[1:]
		}
		must(width > 0, "type %s", dtype)
		size = (n*width + 7) / 8
	}
	must(dtype == "string" || natural(w[5]) == 0, "length")
	off := natural(w[2])
	list := naturals(w[3])
	must(len(list) > 0 || off == 0, "offset without chunks")
	for k, c := range list {
		part := f.chunks[c]
		if k == 0 {
			must(off < len(part), "offset %d", off)
			part = part[off:]
		}
		must(int64(len(data)) < size, "a chunk too many")
		data = append(data, part[:min(int64(len(part)), size-int64(len(data)))]...)
	}
	must(int64(len(data)) == size, "%d of %d bytes", len(data), size)
	return w, dtype, dims, data
}

func (f *fileReading) bytes(i int, dtype string) []byte {
	_, d, dims, data := f.raw(i)
	must(d == dtype && len(dims) == 1, "%s%v, want %s", d, dims, dtype)
	return data
}

func (f *fileReading) stringsOf(i int) []string {
	_, dtype, dims, data := f.raw(i)
	must(dtype == "string", "%s", dtype)
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	list := []string{}
	for range n {
		k := binary.LittleEndian.Uint32(data)
		list = append(list, string(data[4:4+k]))
		data = data[4+k:]
	}
	must(len(data) == 0, "bytes behind the last string")
	return list
}

func (f *fileReading) tensor(i int) string {
	w, dtype, dims, data := f.raw(i)
	var strs, elems []string
	if dtype == "string" {
		data, strs = nil, f.stringsOf(i)
	}
	for _, e := range naturals(w[6]) {
		must(e < i, "an element behind its sequence")
		elems = append(elems, f.tensor(e))
	}
	return tensorText(dtype, dims, data, strs, elems, f.quant(natural(w[4])))
}

// graphReading follows the references.
type graphReading struct {
	*fileReading
	out     *strings.Builder
	next    int
	scopes  []map[int]bool // values that are defined, per nested graph
	isConst map[int]bool
}

func (g *graphReading) value(i int) (text string, constant bool) {
	w := array(array(g.manifest.get("values"), -1)[i], 6)
	dtype := "invalid"
	if n := natural(w[1]); n > 0 {
		dtype = g.strings[n-1]
	}
	shape, dims := "?", ""
	if w[2] != nil {
		list := []int64{}
		for _, d := range array(w[2], -1) {
			list = append(list, integer(d))
		}
		shape = fmt.Sprint(list)
	}
	if w[3] != nil {
		for _, d := range naturals(w[3]) {
			name := ""
			if d > 0 {
				name = g.strings[d-1]
			}
			dims += fmt.Sprintf(" %q", name)
		}
	}
	q := g.quant(natural(w[4])).String()
	t := natural(w[5])
	if t == 0 {
		return fmt.Sprintf("%q %s %s%s%s", str(w[0]), dtype, shape, dims, q), false
	}
	tw, td, tdims, _ := g.raw(t - 1)
	if natural(w[1]) == 0 {
		dtype, shape, q = td, fmt.Sprint(tdims), g.quant(natural(tw[4])).String()
	}
	return fmt.Sprintf("%q %s %s%s%s const %s", str(w[0]), dtype, shape, dims, q, g.tensor(t-1)), true
}

// ref reads one reference; its text holds the value's description where it is new.
func (g *graphReading) ref(v any, defines bool) string {
	r := natural(v)
	switch {
	case r == 0:
		return "_"
	case r > 1:
		n := g.next - (r - 1)
		must(n >= 0 && !defines, "reference %d", r)
		known := g.isConst[n]
		for _, s := range g.scopes {
			known = known || s[n]
		}
		must(known, "value %d is out of scope", n)
		return fmt.Sprint("#", n)
	}
	n := g.next
	g.next++
	text, constant := g.value(n)
	must(constant != defines, "value %d", n)
	if constant {
		g.isConst[n] = true
	} else {
		g.scopes[len(g.scopes)-1][n] = true
	}
	return fmt.Sprintf("#%d=(%s)", n, text)
}

func (g *graphReading) refs(v any, defines bool) string {
	var list []string
	for _, r := range array(v, -1) {
		list = append(list, g.ref(r, defines))
	}
	return strings.Join(list, ", ")
}

func (g *graphReading) attribute(v any) string {
	floats := func(b []byte) string {
		var list []string
		for i := 0; i < len(b); i += 4 {
			list = append(list, fmt.Sprintf("%08x", binary.LittleEndian.Uint32(b[i:])))
		}
		return fmt.Sprint("floats ", list)
	}
	switch v := v.(type) {
	case uint64, int64:
		return fmt.Sprint("int ", integer(v))
	case float64:
		return fmt.Sprintf("float %08x", math.Float32bits(float32(v)))
	case string, []byte:
		return fmt.Sprintf("string %q", str(v))
	}
	l := array(v, 2)
	switch natural(l[0]) {
	case 1:
		list := []int64{}
		for _, x := range array(l[1], -1) {
			list = append(list, integer(x))
		}
		return fmt.Sprint("ints ", list)
	case 2:
		return floats(l[1].([]byte))
	case 3:
		list := []string{}
		for _, x := range array(l[1], -1) {
			list = append(list, str(x))
		}
		return fmt.Sprintf("strings %q", list)
	case 4:
		return "tensor " + g.tensor(natural(l[1]))
	case 5:
		list := []int64{}
		for b := g.bytes(natural(l[1]), "i64"); len(b) > 0; b = b[8:] {
			list = append(list, int64(binary.LittleEndian.Uint64(b)))
		}
		return fmt.Sprint("ints ", list)
	case 6:
		return floats(g.bytes(natural(l[1]), "f32"))
	case 7:
		return fmt.Sprintf("strings %q", g.stringsOf(natural(l[1])))
	case 8:
		return fmt.Sprintf("float %08x", binary.LittleEndian.Uint32(l[1].([]byte)))
	case 9:
		return fmt.Sprintf("string %q", g.stringsOf(natural(l[1]))[0])
	}
	must(false, "attribute %v", v)
	return ""
}

func (g *graphReading) graph(v any, indent string) {
	w := array(v, 5)
	meta, _ := w[1].(pairs)
	var list []string
	for _, e := range meta {
		list = append(list, fmt.Sprintf("%q=%q", e.key, str(e.value)))
	}
	sort.Strings(list)
	g.scopes = append(g.scopes, map[int]bool{})
	fmt.Fprintf(g.out, "%sgraph %q %v (%s)\n", indent, w[0].(string), list, g.refs(w[2], true))
	for _, n := range array(w[3], -1) {
		n := array(n, 7)
		num := "default"
		if k := natural(n[2]); k > 0 {
			num = g.strings[k-1]
		}
		fmt.Fprintf(g.out, "%snode %q %s %s (%s)\n", indent, n[0].(string), g.strings[natural(n[1])], num, g.refs(n[3], false))
		last := ""
		for _, a := range array(n[4], -1) {
			a := array(a, 2)
			name := g.strings[natural(a[0])]
			must(last == "" || last < name, "attribute %s out of order", name)
			last = name
			fmt.Fprintf(g.out, "%s .%s %s\n", indent, name, g.attribute(a[1]))
		}
		for _, s := range array(n[5], -1) {
			s := array(s, 2)
			fmt.Fprintf(g.out, "%s :%s\n", indent, g.strings[natural(s[0])])
			g.graph(s[1], indent+"  ")
		}
		fmt.Fprintf(g.out, "%s -> %s\n", indent, g.refs(n[6], true))
	}
	fmt.Fprintf(g.out, "%sreturn %s\n", indent, g.refs(w[4], false))
	g.scopes = g.scopes[:len(g.scopes)-1]
}

// text reads everything that the file says, part by part.
func (f *fileReading) text() (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	var out strings.Builder
	m := f.manifest
	optional := func(p pairs, keys ...string) {
		for _, k := range keys {
			if v := p.get(k); v != nil {
				fmt.Fprintf(&out, " %s=%v", k, v)
			}
		}
		fmt.Fprintln(&out)
	}
	fmt.Fprint(&out, "model")
	optional(m, "name", "version")
	g := &graphReading{fileReading: f, out: &out, isConst: map[int]bool{}}
	g.graph(m.get("graph"), "")
	must(g.next == len(array(m.get("values"), -1)), "%d values are mentioned", g.next)
	for _, side := range []string{"inputs", "outputs"} {
		for _, p := range array(m.get(side), -1) {
			p := p.(pairs)
			fmt.Fprintf(&out, "%s %q %s", side, p.get("name"), p.get("dtype"))
			if s := p.get("shape"); s != nil {
				list := []int64{}
				for _, d := range array(s, -1) {
					list = append(list, integer(d))
				}
				fmt.Fprint(&out, list)
			}
			if d := p.get("dims"); d != nil {
				fmt.Fprintf(&out, " %q", array(d, -1))
			}
			optional(p, "layout")
			fmt.Fprintln(&out, p.rest("name dtype shape dims layout"))
		}
	}
	document := func(key string) {
		if d := m.get(key); d != nil {
			d := array(d, 2)
			fmt.Fprintf(&out, "%s %q %x\n", key, d[0], f.bytes(natural(d[1]), "u8"))
		}
	}
	document("pipeline")
	document("certificate")
	if t := m.get("labels"); t != nil {
		fmt.Fprintf(&out, "labels %q\n", f.stringsOf(natural(t)))
	}
	if p, ok := m.get("provenance").(pairs); ok {
		fmt.Fprint(&out, "provenance")
		for _, k := range []string{"format", "file", "tool", "created"} {
			if v := p.get(k); v != nil {
				fmt.Fprintf(&out, " %s=%q", k, v)
			}
		}
		for _, k := range []string{"source", "calibration", "evaluation"} {
			if v := p.get(k); v != nil {
				fmt.Fprintf(&out, " %s=%x", k, [32]byte(v.([]byte)))
			}
		}
		if o, ok := p.get("options").(pairs); ok {
			for _, e := range o {
				fmt.Fprintf(&out, " %q=%q", e.key, str(e.value))
			}
		}
		fmt.Fprintln(&out, "", p.rest("format file tool created source calibration evaluation options"))
	}
	if list := m.get("golden"); list != nil {
		for _, v := range array(list, -1) {
			v := v.(pairs)
			fmt.Fprintf(&out, "golden %q\n", v.get("name"))
			for _, side := range []string{"in", "out"} {
				for _, t := range array(v.get(side), -1) {
					t := array(t, 2)
					fmt.Fprintf(&out, " %s %q %s\n", side, t[0], f.tensor(natural(t[1])))
				}
			}
			tol := v.get("tolerance").(pairs)
			fmt.Fprint(&out, " tolerance")
			optional(tol, "rtol", "atol", "cosine", "equal", "top1")
			fmt.Fprintf(&out, " %s|%s\n", tol.rest("rtol atol cosine equal top1"), v.rest("name in out tolerance"))
		}
	}
	if h := m.get("histograms"); h != nil {
		h := array(h, 3)
		_, d, dims, ranges := f.raw(natural(h[1]))
		_, e, wide, counts := f.raw(natural(h[2]))
		names := array(h[0], -1)
		must(d == "f32" && e == "u64" && fmt.Sprint(dims, wide) == fmt.Sprintf("[%d 2] [%d 64]", len(names), len(names)), "histograms")
		for i, n := range names {
			fmt.Fprintf(&out, "histogram %q %x %x\n", n, ranges[8*i:8*i+8], counts[512*i:512*i+512])
		}
	}
	fmt.Fprintln(&out, m.rest("schema name version requires strings chunks tensors quants values graph inputs outputs pipeline labels provenance golden histograms certificate"))
	return out.String(), nil
}
