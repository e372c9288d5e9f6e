//go:build !amd64

package amd64

var functions map[string]any
