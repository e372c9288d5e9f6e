package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// stored makes an .edge file and a key, and returns the paths.
func stored(t *testing.T) (dir, edge, key, pub string) {
	t.Helper()
	dir, model, _, _ := digits(t)
	edge, key = filepath.Join(dir, "digits.edge"), filepath.Join(dir, "key.pem")
	call(t, 0, "keys", "new", key)
	call(t, 0, "import", model, "-o", edge)
	return dir, edge, key, filepath.Join(dir, "key.pub.pem")
}

func TestSign(t *testing.T) {
	dir, edge, key, pub := stored(t)
	stdout, _ := call(t, 0, "sign", edge, "--key", key)
	contains(t, stdout, "digits.edge: signed by ")
	call(t, 0, "verify", edge, "--key", pub)
	fail(t,
		failing{2, []string{"sign", edge}, "give --key, or --payload"},
		failing{2, []string{"sign", edge, "--key", key, "--payload", "x"}, "give --key, or --payload"},
		failing{2, []string{"sign", edge, "--signature", key}, "--signature with --public"},
		failing{2, []string{"sign"}, "one MODEL.edge"},
		failing{1, []string{"sign", edge, "--key", pub}, "PRIVATE KEY"},
		failing{1, []string{"sign", edge, "--key", filepath.Join(dir, "missing.pem")}, "missing.pem"},
		failing{1, []string{"sign", edge, "--signature", key, "--public", pub}, "is wrong"},
		failing{1, []string{"sign", edge, "--payload", filepath.Join(dir, "no", "x")}, "no such file"},
		failing{1, []string{"sign", filepath.Join(dir, "digits.onnx"), "--key", key}, "no .edge file"},
		failing{1, []string{"sign", filepath.Join(dir, "missing.edge"), "--key", key}, "missing.edge"})
}

// A key that is kept elsewhere signs the payload.
func TestSignElsewhere(t *testing.T) {
	dir, edge, key, pub := stored(t)
	payload, signature := filepath.Join(dir, "payload"), filepath.Join(dir, "signature")
	stdout, _ := call(t, 0, "sign", edge, "--payload", payload)
	contains(t, stdout, "bytes to sign")
	b, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(payload); err != nil {
		t.Fatal(err)
	}
	write(t, signature, ed25519.Sign(private.(ed25519.PrivateKey), b))
	call(t, 0, "sign", edge, "--signature", signature, "--public", pub)
	call(t, 0, "verify", edge, "--key", pub)
}
