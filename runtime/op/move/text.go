package move

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

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
			c.Out[0].Str[i] = c.In[0].Str[p] + c.In[1].Str[q]
		}
		return nil
	}, nil
}

func inferRegex(c *op.Call) error {
	if err := c.Need(1); err != nil {
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
	if err := c.Need(1); err != nil {
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
		parts := make([][]string, len(c.In[0].Str))
		width := 0
		for i, s := range c.In[0].Str {
			parts[i] = splitString(s, delimiter, limit)
			width = max(width, len(parts[i]))
		}
		y, err := c.Alloc(0, tensor.String, append(c.In[0].Shape.Clone(), width))
		if err != nil {
			return err
		}
		for i, p := range parts {
			copy(y.Str[i*width:(i+1)*width], p)
			if n := c.Output(1); n != nil {
				tensor.Of[int64](n)[i] = int64(len(p))
			}
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
	if limit < 0 {
		return strings.Fields(s)
	}
	var parts []string
	s = strings.TrimSpace(s)
	for s != "" {
		at := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) })
		if at < 0 || len(parts) == limit {
			return append(parts, s)
		}
		parts = append(parts, s[:at])
		s = strings.TrimSpace(s[at:])
	}
	return parts
}

func inferNormalizer(c *op.Call) error {
	if err := c.Need(1); err != nil {
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
	if x := c.In[0].Shape; x == nil {
		s = nil
	} else if len(x) == 2 {
		s = tensor.Shape{x[0], n}
	}
	c.Set(0, tensor.F32, s)
	return nil
}

// prepareTfIdf counts n-grams of a pool, with gaps of up to max_skip_count.
func prepareTfIdf(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	starts, index := c.Attrs.Ints("ngram_counts"), c.Attrs.Ints("ngram_indexes")
	pool := c.Attrs.Strs("pool_strings")
	if pool == nil {
		for _, v := range c.Attrs.Ints("pool_int64s") {
			pool = append(pool, strconv.Itoa(v))
		}
	}
	lo, hi, skip := c.Attrs.Int("min_gram_length", 1), c.Attrs.Int("max_gram_length", 1), c.Attrs.Int("max_skip_count", 0)
	grams := map[string]int{}
	at := 0
	for k, from := range starts {
		to := len(pool)
		if k+1 < len(starts) {
			to = starts[k+1]
		}
		if from < 0 || from > to || to > len(pool) {
			return nil, c.Errorf("ngram_counts %v do not fit a pool of %d", starts, len(pool))
		}
		for ; from+k < to; from += k + 1 {
			if k+1 >= lo && k+1 <= hi {
				if at >= len(index) {
					return nil, c.Errorf("%d ngram indexes for more grams", len(index))
				}
				grams[strings.Join(pool[from:from+k+1], "\x00")] = index[at]
			}
			at++
		}
	}
	weights := c.Attrs.Floats("weights")
	mode := c.Attrs.Str("mode", "TF")
	rows := 1
	if len(x.Shape) == 2 {
		rows = x.Shape[0]
	}
	cols := x.Len() / max(1, rows)
	n := y.Shape[len(y.Shape)-1]
	return func() error {
		out := tensor.Of[float32](y)
		clear(out)
		words := x.Str
		if x.DType != tensor.String {
			v, err := x.Ints()
			if err != nil {
				return c.Errorf("input: %w", err)
			}
			words = make([]string, len(v))
			for i, w := range v {
				words[i] = strconv.Itoa(int(w))
			}
		}
		for r := range rows {
			row, dst := words[r*cols:(r+1)*cols], out[r*n:(r+1)*n]
			for gap := 1; gap <= skip+1; gap++ {
				for length := lo; length <= hi; length++ {
					if length == 1 && gap > 1 {
						continue
					}
					for s := 0; s+(length-1)*gap < cols; s++ {
						var g []string
						for i := range length {
							g = append(g, row[s+i*gap])
						}
						if k, ok := grams[strings.Join(g, "\x00")]; ok {
							dst[k]++
						}
					}
				}
			}
			for i, f := range dst {
				w := float32(1)
				for k, j := range index {
					if j == i && k < len(weights) {
						w = weights[k]
					}
				}
				switch {
				case mode == "IDF" && f > 0:
					dst[i] = w
				case mode == "TFIDF":
					dst[i] = f * w
				}
			}
		}
		return nil
	}, nil
}
