package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime"
)

func load(t *testing.T, text string) *loaded {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &loaded{Source: &runtime.Source{}, Model: m}
}

// The first guess for inputs as exporters write them.
func TestGuesses(t *testing.T) {
	for _, c := range []struct{ inputs, want string }{
		{"x: f32[?,3,?,?]", "[1,3,224,224]"},
		{"x: f32[batch,3,height,width]", "[1,3,224,224]"},
		{"x: f32[?,?,?,3]", "[1,224,224,3]"},
		{"x: u8[?,?,?,?]", "[1,3,224,224]"},
		{"x: f32[b,1,32,w]", "[1,1,32,224]"},
		{"ids: i64[b,s], attention_mask: i64[b,s]", "[1,128] [1,128]"},
		{"ids: i64[b,s], attention_mask: i64[b,t], past.key: f32[b,4,p,8]", "[1,1] [1,128] [1,4,127,8]"},
		{"ids: i64[?,?], attention_mask: i64[?,?], past_key_values.0.key: f32[?,4,?,8]", "[1,1] [1,128] [1,4,127,8]"},
		{"ids: i64[batch_size,sequence_length], mask: i64[batch_size,total_sequence_length], past: f32[2,batch_size,4,past_sequence_length,8]",
			"[1,1] [1,128] [2,1,4,127,8]"},
		{"wave: f32[b,t]", "[1,16000]"},
		{"wave: f32[?,1,?], state: f32[2,?,128]", "[1,1,16000] [2,128,128]"},
		{"wave: f32[b,t], state: f32[2,b,128]", "[1,16000] [2,1,128]"},
		{"features: f32[b,t,80], lengths: i64[b]", "[1,128,80] [1]"},
		{"x: f32[4,5]", "[4,5]"},
	} {
		var names []string
		for _, in := range strings.Split(c.inputs, ", ") {
			names = append(names, in[:strings.IndexByte(in, ':')])
		}
		l := load(t, fmt.Sprintf("graph main(%s) -> (%s) {\n}", c.inputs, strings.Join(names, ", ")))
		shapes, err := shapesFor(l, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Trim(fmt.Sprint(shapes), "[]"); "["+got+"]" != c.want {
			t.Errorf("%s: [%s], want %s", c.inputs, got, c.want)
		}
	}
}

func TestGuessesThatFit(t *testing.T) {
	// A table of 20 positions takes 16, and names give the mask the extents of the ids.
	l := load(t, `graph main(ids: i64[b,s], attention_mask: f32[b,s]) -> (y) {
		shape = Shape(ids) {start=1, end=2}
		n = Squeeze(shape)
		places = Range(i64[]{0}, n, i64[]{1})
		table = ConstantOfShape(i64[2]{20,4})
		at = Gather(table, places)
		sum = ReduceSum(at, i64[1]{1}) {keepdims=0}
		y = Add(attention_mask, sum)
	}`)
	s, err := l.Model.NewSession(runtime.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := firstRun(context.Background(), l, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (tensor.Shape{1, 16}); !b.in[0].Shape.Equal(want) || !b.in[1].Shape.Equal(want) || !b.out[0].Shape.Equal(want) || b.took <= 0 {
		t.Errorf("%+v, want %v", b, want)
	}
	if b, err = firstRun(context.Background(), l, s, []string{"ids=2,7"}); err != nil || !b.in[1].Shape.Equal(tensor.Shape{2, 7}) {
		t.Errorf("%+v %v", b, err)
	}

	// Small tables take ones.
	l = load(t, `graph main(x: i64[9]) -> (y) { y = Gather(f32[2]{1,2}, x) }`)
	if s, err = l.Model.NewSession(runtime.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err = firstRun(context.Background(), l, s, nil); err != nil || tensor.Of[int64](b.in[0])[3] != 1 {
		t.Errorf("%+v %v", b, err)
	}

	l = load(t, `graph main(x: f32[b,k,?], z: f32[?]) -> (y, w) {
		y = Reshape(x, i64[3]{17,19,23})
		w = Relu(z)
	}`)
	_, err = planInputs(context.Background(), l, nil)
	if want := `cannot guess b, k, extent 2 of input "x", f32[b,k,?], or extent 0 of input "z", f32[?]: give --shape x=… --shape z=…: `; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err = planInputs(context.Background(), l, []string{"x=17,19,23"}); err != nil {
		t.Error(err)
	}
	_, err = planInputs(context.Background(), l, []string{"x=17,19,24", "z=1"})
	if err == nil || strings.Contains(err.Error(), "guess") {
		t.Errorf("no guess was made: %v", err)
	}
	var usage usageError
	if _, err = planInputs(context.Background(), load(t, `graph main(x: f32) -> (y) { y = Relu(x) }`), nil); !errors.As(err, &usage) {
		t.Errorf("a free rank: %v", err)
	}
}
