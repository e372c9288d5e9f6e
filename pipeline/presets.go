package pipeline

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// presetData holds the presets: a name, what it is for, and a Spec without its schema.
//
//go:embed presets.json
var presetData []byte

type preset struct {
	About string          `json:"about"`
	Spec  json.RawMessage `json:"spec"`
}

// presets parses the embedded data anew, so that nobody can change what the next caller gets.
func presets() map[string]preset {
	var m map[string]preset
	if err := json.Unmarshal(presetData, &m); err != nil {
		panic("BUG: presets.json: " + err.Error())
	}
	return m
}

// PresetNames lists the presets.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets())) }

// PresetAbout says in a line what a preset is for, "" where there is none of that name.
func PresetAbout(name string) string { return presets()[name].About }

// Preset returns the Spec of a preset. Those for text models lack the tokenizer, which comes with the model: they are not
// valid before it is set.
func Preset(name string) (*Spec, error) {
	p, ok := presets()[name]
	if !ok {
		return nil, fmt.Errorf("%w: unknown preset %q, known: %q", ErrSpec, name, PresetNames())
	}
	s := &Spec{}
	if err := json.Unmarshal(p.Spec, s); err != nil {
		panic("BUG: preset " + name + ": " + err.Error())
	}
	s.Schema = SpecSchema
	return s, nil
}
