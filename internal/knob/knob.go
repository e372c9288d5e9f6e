// Package knob lists every setting that edgerun reads from the environment, in one table.
//
// Commands read settings here and hand them down as arguments; no other package calls os.Getenv.
package knob

import (
	"os"
	"path/filepath"
)

// Knob is one setting.
type Knob struct {
	Name    string // environment variable
	Default string // as it is shown; what an unset variable means
	Doc     string
}

// The settings.
var (
	CPU       = Knob{"EDGERUN_CPU", "all features", "CPU features to leave unused, as in -avx512,-vnni, so that every fallback runs anywhere"}
	Cache     = Knob{"EDGERUN_CACHE", "the user's cache folder", "folder for packed weights and tuned plans; empty turns it off"}
	CacheSize = Knob{"EDGERUN_CACHE_SIZE", "2GiB", "limit on the files in that folder, a size as 512MiB; those used longest ago go"}
	Keys      = Knob{"EDGERUN_KEYS", "the user's configuration folder", "folder of trusted public keys (*.pub.pem)"}
	Data      = Knob{"EDGERUN_TESTDATA", "../shared/data", "folder of models and images that tests and acceptance use"}
)

// All lists the settings in the order in which they are shown.
var All = []Knob{CPU, Cache, CacheSize, Keys, Data}

// Get returns the variable's value and whether it is set.
func (k Knob) Get() (string, bool) { return os.LookupEnv(k.Name) }

// Value returns the variable's value, or what holds where it is not set; "" where there is nothing.
func (k Knob) Value() string {
	if v, ok := k.Get(); ok {
		return v
	}
	switch k.Name {
	case Cache.Name:
		if dir, err := os.UserCacheDir(); err == nil {
			return filepath.Join(dir, "edgerun")
		}
	case CacheSize.Name:
		return k.Default
	case Keys.Name:
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, "edgerun", "keys")
		}
	case Data.Name:
		return filepath.Join("..", "shared", "data")
	}
	return ""
}
