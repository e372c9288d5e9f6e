package move

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var textOps = map[string]op.Op{
	"StringConcat":     {Infer: inferStringConcat, Prepare: prepareStringConcat},
	"RegexFullMatch":   {Infer: inferRegex, Prepare: prepareRegex},
	"StringSplit":      {Infer: inferStringSplit, Prepare: prepareStringSplit},
	"StringNormalizer": {Infer: inferNormalizer, Prepare: prepareNormalizer},
	"TfIdfVectorizer":  {Infer: inferTfIdf, Prepare: prepareTfIdf},
}

func inferStringConcat(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	for i := range 2 {
		if err := c.Want(i, tensor.String); err != nil {
			return err
		}
	}
	s, err := c.Broadcast(c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, tensor.String, s)
	return nil
}

func prepareStringConcat(c *op.Call) (op.Run, error) {
	y := c.Out[0].Shape
	a, b := broadcastSteps(c.In[0].Shape, y), broadcastSteps(c.In[1].Shape, y)
	return func() error {
		for i := range c.Out[0].Str {
			p, q, r := 0, 0, i
			for d := len(y) - 1; d >= 0; d-- {
				p += r % y[d] * a[d]
				q += r % y[d] * b[d]
				r /= y[d]
			}
			c.Take(len(c.In[0].Str[p]) + len(c.In[1].Str[q]))
			c.Out[0].Str[i] = c.In[0].Str[p] + c.In[1].Str[q]
		}
		return nil
	}, nil
}

func needText(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	return c.Want(0, tensor.String)
}

func inferRegex(c *op.Call) error {
	if err := needText(c); err != nil {
		return err
	}
	c.Set(0, tensor.Bool, c.In[0].Shape)
	return nil
}

func prepareRegex(c *op.Call) (op.Run, error) {
	re, err := regexp.Compile(`^(?:` + c.Attrs.Str("pattern", "") + `)$`)
	if err != nil {
		return nil, c.Errorf("pattern: %w", err)
	}
	return func() error {
		for i, s := range c.In[0].Str {
			c.Out[0].Data[i] = 0
			if re.MatchString(s) {
				c.Out[0].Data[i] = 1
			}
		}
		return nil
	}, nil
}

func inferStringSplit(c *op.Call) error {
	if err := needText(c); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, tensor.String, nil)
	} else {
		c.Set(0, tensor.String, append(s.Clone(), -1))
	}
	c.Set(1, tensor.I64, s)
	return nil
}

func prepareStringSplit(c *op.Call) (op.Run, error) {
	limit := c.Attrs.Int("maxsplit", -1)
	delimiter := c.Attrs.Str("delimiter", "")
	return func() error {
		parts := op.Make[[]string](c, len(c.In[0].Str))
		width := 0
		for i, s := range c.In[0].Str {
			parts[i] = splitString(s, delimiter, limit)
			c.Take(16 * len(parts[i]))
			width = max(width, len(parts[i]))
		}
		if n := c.Output(1); n != nil {
			for i, p := range parts {
				tensor.Of[int64](n)[i] = int64(len(p))
			}
		}
		if c.Output(0) == nil {
			return nil
		}
		y, err := c.Alloc(0, tensor.String, append(c.In[0].Shape.Clone(), width))
		if err != nil {
			return err
		}
		for i, p := range parts {
			copy(y.Str[i*width:(i+1)*width], p)
		}
		return nil
	}, nil
}

// splitString follows Python's str.split.
func splitString(s, delimiter string, limit int) []string {
	if delimiter != "" {
		if s == "" {
			return nil
		}
		n := -1
		if limit >= 0 {
			n = limit + 1
		}
		return strings.SplitN(s, delimiter, n)
	}
	var parts []string
	for s = strings.TrimLeftFunc(s, pySpace); s != ""; s = strings.TrimLeftFunc(s, pySpace) {
		at := strings.IndexFunc(s, pySpace)
		if at < 0 || len(parts) == limit { // what is left, with the spaces behind it
			return append(parts, s)
		}
		parts = append(parts, s[:at])
		s = s[at:]
	}
	return parts
}

// pySpace reports whether Python takes a character for white space.
func pySpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func inferNormalizer(c *op.Call) error {
	if err := needText(c); err != nil {
		return err
	}
	s := c.In[0].Shape.Clone()
	if len(s) > 0 {
		s[len(s)-1] = -1
	}
	c.Set(0, tensor.String, s)
	return nil
}

func prepareNormalizer(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	if len(s) < 1 || len(s) > 2 || len(s) == 2 && s[0] != 1 {
		return nil, c.Errorf("input has shape %v, want [n] or [1,n]", s)
	}
	change := func(v string) string { return v }
	switch a := c.Attrs.Str("case_change_action", "NONE"); a {
	case "NONE":
	case "LOWER":
		change = strings.ToLower
	case "UPPER":
		change = strings.ToUpper
	default:
		return nil, c.Errorf("case_change_action %q unknown", a)
	}
	stop := c.Attrs.Strs("stopwords")
	sensitive := c.Attrs.Bool("is_case_sensitive", false)
	return func() error {
		var list []string
		for _, v := range c.In[0].Str {
			if !slices.ContainsFunc(stop, func(w string) bool { return v == w || !sensitive && strings.EqualFold(v, w) }) {
				list = append(list, change(v))
			}
		}
		if len(list) == 0 {
			list = []string{""}
		}
		shape := s.Clone()
		shape[len(shape)-1] = len(list)
		y, err := c.Alloc(0, tensor.String, shape)
		if err != nil {
			return err
		}
		copy(y.Str, list)
		return nil
	}, nil
}

func inferTfIdf(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	n := 0
	for _, i := range c.Attrs.Ints("ngram_indexes") {
		if i < 0 || i > 1<<24 {
			return c.Errorf("ngram index %d", i)
		}
		n = max(n, i+1)
	}
	s := tensor.Shape{n}
	switch x := c.In[0].Shape; {
	case x == nil:
		s = nil
	case len(x) == 2:
		s = tensor.Shape{x[0], n}
	case len(x) > 2:
		return c.Errorf("input has rank %d, want 1 or 2", len(x))
	}
	c.Set(0, tensor.F32, s)
	return nil
}

// grams is a tree of n-grams, whose words are numbered.
type grams struct {
	words map[string]int32
	nums  map[int64]int32
	next  map[[2]int32]int32 // from a node by a word
	place []int32            // in the output, of the gram that ends at a node; -1: none
}

// add enters a gram.
func (g *grams) add(words []int32, place int32) {
	node := int32(0)
	for _, w := range words {
		k := [2]int32{node, w}
		n, ok := g.next[k]
		if !ok {
			n = int32(len(g.place))
			g.next[k] = n
			g.place = append(g.place, -1)
		}
		node = n
	}
	g.place[node] = place
}

// readGrams reads the pool of grams, in which those of each length stand together.
func readGrams(c *op.Call, lo, hi int) (*grams, error) {
	g := &grams{next: map[[2]int32]int32{}, place: []int32{-1}}
	var pool []int32
	if strs := c.Attrs.Strs("pool_strings"); strs != nil {
		g.words = map[string]int32{}
		for _, s := range strs {
			if _, ok := g.words[s]; !ok {
				g.words[s] = int32(len(g.words))
			}
			pool = append(pool, g.words[s])
		}
	} else {
		g.nums = map[int64]int32{}
		for _, v := range attr.Get[[]int64](c.Attrs, "pool_int64s", nil) {
			if _, ok := g.nums[v]; !ok {
				g.nums[v] = int32(len(g.nums))
			}
			pool = append(pool, g.nums[v])
		}
	}
	starts, index := c.Attrs.Ints("ngram_counts"), c.Attrs.Ints("ngram_indexes")
	at := 0
	for k, from := range starts {
		to := len(pool)
		if k+1 < len(starts) {
			to = starts[k+1]
		}
		if from < 0 || from > to || to > len(pool) || (to-from)%(k+1) != 0 {
			return nil, c.Errorf("ngram_counts %v do not fit a pool of %d", starts, len(pool))
		}
		for ; from < to; from += k + 1 {
			if at >= len(index) {
				return nil, c.Errorf("%d ngram_indexes for more grams", len(index))
			}
			if k+1 >= lo && k+1 <= hi {
				g.add(pool[from:from+k+1], int32(index[at]))
			}
			at++
		}
	}
	return g, nil
}

// numberOf is the number of word i; -1 where no gram has it.
func (g *grams) numberOf(x *tensor.Tensor, i int) int32 {
	var w int32
	ok := false
	switch x.DType {
	case tensor.String:
		w, ok = g.words[x.Str[i]]
	case tensor.I64:
		w, ok = g.nums[tensor.Of[int64](x)[i]]
	case tensor.I32:
		w, ok = g.nums[int64(tensor.Of[int32](x)[i])]
	}
	if !ok {
		return -1
	}
	return w
}

// count adds the grams of a row whose words stand gap apart. Grams of one word have no gaps.
func (g *grams) count(dst []float32, row []int32, lo, hi, gap int) {
	for s := range row {
		node := int32(0)
		for length := 1; length <= hi; length++ {
			i := s + (length-1)*gap
			if i >= len(row) || row[i] < 0 {
				break
			}
			n, ok := g.next[[2]int32{node, row[i]}]
			if !ok {
				break
			}
			if node = n; length >= lo && g.place[n] >= 0 && (length > 1 || gap == 1) {
				dst[g.place[n]]++
			}
		}
	}
}

// prepareTfIdf counts n-grams of a pool, with gaps of up to max_skip_count.
func prepareTfIdf(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if err := c.Want(0, tensor.String, tensor.I64, tensor.I32); err != nil {
		return nil, err
	}
	lo, hi, skip := c.Attrs.Int("min_gram_length", 1), c.Attrs.Int("max_gram_length", 1), c.Attrs.Int("max_skip_count", 0)
	if lo < 1 || hi < lo || hi > 1<<16 || skip < 0 {
		return nil, c.Errorf("grams of length %d to %d with gaps of up to %d", lo, hi, skip)
	}
	g, err := readGrams(c, lo, hi)
	if err != nil {
		return nil, err
	}
	n := lastOf(y.Shape)
	weight := make([]float32, n)
	for i := range weight {
		weight[i] = 1
	}
	for k, w := range c.Attrs.Floats("weights") {
		if index := c.Attrs.Ints("ngram_indexes"); k < len(index) {
			weight[index[k]] = w
		}
	}
	mode := c.Attrs.Str("mode", "TF")
	if mode != "TF" && mode != "IDF" && mode != "TFIDF" {
		return nil, c.Errorf("mode %q unknown", mode)
	}
	cols, rows := lastOf(x.Shape), x.Shape[:max(0, len(x.Shape)-1)].Len()
	row := make([]int32, cols)
	return func() error {
		out := tensor.Of[float32](y)
		clear(out)
		for r := range rows {
			for i := range row {
				row[i] = g.numberOf(x, r*cols+i)
			}
			dst := out[r*n : (r+1)*n]
			for gap := 1; gap <= min(skip, cols)+1; gap++ {
				g.count(dst, row, lo, hi, gap)
			}
			for i, f := range dst {
				switch {
				case mode == "IDF" && f > 0:
					dst[i] = weight[i]
				case mode == "TFIDF":
					dst[i] = f * weight[i]
				}
			}
		}
		return nil
	}, nil
}

// lastOf is the last extent; 1 for a scalar.
func lastOf(s tensor.Shape) int {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}
