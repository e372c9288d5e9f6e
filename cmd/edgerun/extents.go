package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/runtime"
)

// extent is what a free extent of an input most likely counts.
type extent int

const (
	other extent = iota
	batch
	channels
	side   // of pictures
	sample // of sound
	place  // in a sequence
	past   // places that a cache holds
	total  // place and past together
)

// guesses are the extents that are tried, one after the other, in place of all free ones. Models that hold a cache run one step.
var guesses = []struct{ side, sample, place, step, past int }{
	{224, 16000, 128, 1, 127}, {640, 32000, 64, 1, 63}, {320, 8000, 32, 1, 15}, {256, 4000, 16, 1, 7}, {512, 1600, 8, 1, 1},
	{128, 512, 4, 4, 4}, {64, 256, 2, 8, 0}, {32, 160, 1, 1, 0}, {1, 1, 1, 1, 1},
}

// extentsOf says what the free extents of all inputs count.
func extentsOf(inputs []runtime.Info) [][]extent {
	leading := map[string]bool{} // names of first axes
	cache := false
	for _, in := range inputs {
		cache = cache || isCache(in)
		if len(in.Shape) > 1 && in.Shape[0] < 0 {
			leading[dim(in, 0)] = true
		}
	}
	delete(leading, "")
	kinds := make([][]extent, len(inputs))
	ids := map[string]bool{} // names of places in what is no mask
	for i, in := range inputs {
		kinds[i] = make([]extent, len(in.Shape))
		for axis, d := range in.Shape {
			if d >= 0 {
				continue
			}
			k := extentOf(in, axis, leading)
			if kinds[i][axis] = k; k == place && !isMask(in) {
				ids[dim(in, axis)] = true
			}
		}
	}
	for i, in := range inputs { // the mask covers the cache too
		for axis, k := range kinds[i] {
			if k == place && cache && isMask(in) && (dim(in, axis) == "" || !ids[dim(in, axis)]) {
				kinds[i][axis] = total
			}
		}
	}
	return kinds
}

func dim(in runtime.Info, axis int) string {
	if axis < len(in.Dims) {
		return in.Dims[axis]
	}
	return ""
}

func isCache(in runtime.Info) bool {
	s := strings.ToLower(in.Name)
	return len(in.Shape) == 4 && (strings.Contains(s, "past") || strings.Contains(s, "cache"))
}

func isMask(in runtime.Info) bool { return strings.Contains(strings.ToLower(in.Name), "mask") }

func isFloat(in runtime.Info) bool {
	return in.DType == tensor.F32 || in.DType == tensor.F16 || in.DType == tensor.F64 || in.DType == tensor.BF16
}

// isHeight reports whether a free side of a picture is the first of the two.
func isHeight(in runtime.Info, axis int) bool {
	name := strings.ToLower(dim(in, axis))
	return strings.Contains(name, "height") || !strings.Contains(name, "width") && (axis == 1 || axis == len(in.Shape)-2 && in.Shape[1] >= 0)
}

// extentOf goes by the axis's name where it has one, and by its place.
func extentOf(in runtime.Info, axis int, leading map[string]bool) extent {
	name, rank := strings.ToLower(dim(in, axis)), len(in.Shape)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
	}
	colours := func(axis int) bool { return slices.Contains([]int{1, 3, 4}, in.Shape[axis]) }
	switch {
	case has("batch") || slices.Contains([]string{"b", "n", "bs"}, name):
		return batch
	case has("total") || has("past") && has("+"):
		return total
	case has("past") || isCache(in) && axis > 1:
		return past
	case has("height", "width"):
		return side
	case has("seq", "token"):
		return place
	case has("channel"):
		return channels
	case has("sample", "audio"):
		return sample
	case leading[dim(in, axis)] || axis == 0 && (rank > 1 || !isFloat(in)):
		return batch
	case rank == 4 && axis == 3 && in.Shape[1] < 0 && in.Shape[2] >= 0:
		return channels
	case rank == 4 && axis == 1 && !colours(3):
		return channels
	case rank == 4:
		return side
	case isFloat(in) && (rank == 1 || rank == 2 || rank == 3 && axis == 2 && in.Shape[1] == 1):
		return sample
	case rank == 2 || rank == 3:
		return place
	}
	return other
}

// shapesFor sets the guess of the given number into all free extents. Those of one name are equal, and are what a flag
// says of one of them.
func shapesFor(l *loaded, given map[string]tensor.Shape, guess int) ([]tensor.Shape, error) {
	inputs := l.Model.Inputs()
	kinds := extentsOf(inputs)
	g, w, h := guesses[guess], guesses[guess].side, guesses[guess].side
	if guess == 0 && len(inputs) == 1 && len(kinds[0]) == 4 && kinds[0][2] == side && (kinds[0][1] == side || kinds[0][3] == side) {
		if x, y := pictureSize(l); x > 0 && y > 0 {
			w, h = x, y
		}
	}
	if slices.ContainsFunc(kinds, func(k []extent) bool { return slices.Contains(k, past) }) {
		g.place = g.step
	}
	named := map[string]int{}
	for _, in := range inputs {
		for axis, d := range given[in.Name] {
			if name := dim(in, axis); name != "" && len(given[in.Name]) == len(in.Shape) {
				named[name] = d
			}
		}
	}
	list := make([]tensor.Shape, len(inputs))
	for i, in := range inputs {
		if s, ok := given[in.Name]; ok {
			list[i] = s
			continue
		}
		if in.Shape == nil {
			return nil, usagef("input %q has a free rank: give --shape %s=…", in.Name, in.Name)
		}
		s := in.Shape.Clone()
		for axis := range s {
			if s[axis] >= 0 {
				continue
			}
			name := dim(in, axis)
			if d, ok := named[name]; ok && name != "" {
				s[axis] = d
				continue
			}
			s[axis] = 1
			switch kinds[i][axis] {
			case channels:
				if s[axis] = 3; guess == len(guesses)-1 {
					s[axis] = 1
				}
			case side:
				if s[axis] = w; isHeight(in, axis) {
					s[axis] = h
				}
			case sample:
				s[axis] = g.sample
			case place:
				s[axis] = g.place
			case past:
				s[axis] = g.past
			case total:
				s[axis] = g.place + g.past
			}
			if name != "" {
				named[name] = s[axis]
			}
		}
		list[i] = s
	}
	return list, nil
}

// pictureSize is what the model's pipeline or its metadata says of its pictures; 0 where they do not.
func pictureSize(l *loaded) (width, height int) {
	var spec *pipeline.Spec
	var err error
	if l.Contents != nil && l.Contents.Pipeline != nil {
		spec, err = pipeline.Parse(l.Contents.Pipeline.Data)
	} else {
		spec, _, err = pipeline.Guess(infos(l.Model.Inputs()), infos(l.Model.Outputs()), l.Model.Meta())
	}
	if err == nil && spec.Image != nil {
		switch p := spec.Image; {
		case p.CropWidth > 0 && p.CropHeight > 0:
			return p.CropWidth, p.CropHeight
		case p.Width > 0 && p.Height > 0:
			return p.Width, p.Height
		}
	}
	var size []int // as Ultralytics writes it: height, width
	if json.Unmarshal([]byte(l.Model.Meta()["imgsz"]), &size) == nil && len(size) == 2 && min(size[0], size[1]) > 0 && max(size[0], size[1]) <= 1<<12 {
		return size[1], size[0]
	}
	return 0, 0
}

// freeExtents describes what shapesFor guesses, for errors: the extents, by input, and the flags that set them. An
// extent that has a name is told once.
func freeExtents(inputs []runtime.Info, given map[string]tensor.Shape) (text, flags string) {
	told := map[string]bool{}
	for _, in := range inputs {
		if _, ok := given[in.Name]; ok || in.Shape == nil {
			continue
		}
		var list []string
		for axis, d := range in.Shape {
			name := dim(in, axis)
			if d >= 0 || told[name] {
				continue
			}
			if told[name] = name != ""; name == "" {
				name = "extent " + strconv.Itoa(axis)
			}
			list = append(list, name)
		}
		if len(list) > 0 {
			if text != "" {
				text, flags = text+" or ", flags+" "
			}
			text += fmt.Sprintf("%s of input %q, %s,", strings.Join(list, ", "), in.Name, in.Describe())
			flags += "--shape " + in.Name + "=…"
		}
	}
	return strings.TrimSuffix(text, ","), flags
}

// tryShapes calls try with the shapes of all inputs, guess after guess, until one of them succeeds.
func tryShapes(ctx context.Context, l *loaded, flags []string, try func(shapes []tensor.Shape) error) error {
	given, err := parseShapes(l.Model, flags)
	if err != nil {
		return err
	}
	text, missing := freeExtents(l.Model.Inputs(), given)
	var first error
	for guess := range guesses {
		shapes, err := shapesFor(l, given, guess)
		if err != nil {
			return err
		}
		if err = try(shapes); err == nil || ctx.Err() != nil || text == "" {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("cannot guess %s: give %s: %w", text, missing, first)
}

// planInputs returns the shapes of the first guess that can be planned.
func planInputs(ctx context.Context, l *loaded, flags []string) (shapes []tensor.Shape, err error) {
	err = tryShapes(ctx, l, flags, func(s []tensor.Shape) error {
		shapes = s
		_, err := l.Model.Plan(s)
		return err
	})
	return shapes, err
}

// begun is a model after its first inference.
type begun struct {
	in, out []*tensor.Tensor
	took    time.Duration // of planning and of the inference, without guesses that the model does not take and without drawing the inputs
	peakRSS int64         // before the inputs were drawn; 0 where it is not known
}

// firstRun draws random inputs, in the shapes that the flags give or in the first that the model takes, and runs them once.
func firstRun(ctx context.Context, l *loaded, s *runtime.Session, flags []string) (b begun, err error) {
	err = tryShapes(ctx, l, flags, func(shapes []tensor.Shape) error {
		start := time.Now()
		if _, err := s.Plan(shapes); err != nil {
			return err
		}
		planned := time.Since(start)
		if b.in == nil {
			b.peakRSS, _ = peakRSS()
		}
		var first error
		for _, most := range []int{100, 1} { // indices may have to be small
			if b.in, err = randomInputs(l.Model, shapes, most); err != nil {
				return err
			}
			b.out = newOutputs(l.Model)
			start = time.Now()
			err = s.Run(ctx, b.in, b.out)
			b.took = planned + time.Since(start)
			if err == nil || ctx.Err() != nil {
				return err
			}
			if first == nil {
				first = err
			}
		}
		return first
	})
	return b, err
}
