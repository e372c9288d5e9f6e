// Package cases knows the models that are compared with other runtimes: the list that compare.py reads, and the rows of docs/performance.md that come
// of it. Importers: internal/peers, which writes that page, and internal/acceptance, which reads it.
package cases

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Case is an entry of cases.json: a model, the shapes of its inputs where they are free, and the arithmetic.
type Case struct {
	Name, Model, Precision string
	Inputs                 map[string][]int
}

// Read reads cases.json in the folder of compare.py.
func Read(peers string) ([]Case, error) {
	path := filepath.Join(peers, "cases.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []Case
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// File is where compare.py takes the model from: the shared models, or, for @NAME, what it has made and keeps in the home folder.
func (c *Case) File(peers string) (string, error) {
	name, made := strings.CutPrefix(c.Model, "@")
	if !made {
		return filepath.Join(peers, "..", "data", "models", c.Model), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "edgerun-peers", name+".onnx"), err
}

// Flags are the arguments by which edgerun's commands run the case as compare.py does.
func (c *Case) Flags() []string {
	list := []string{"--precision", c.Precision}
	for _, name := range slices.Sorted(maps.Keys(c.Inputs)) {
		list = append(list, "--shape", name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Inputs[name]), " ", ","), "[]"))
	}
	return list
}
