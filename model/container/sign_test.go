package container

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newKey(t testing.TB, a Algorithm) (crypto.Signer, PublicKey) {
	t.Helper()
	k, err := GenerateKey(a)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, p
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	for _, a := range []Algorithm{Ed25519, ECDSAP256} {
		k, pub := newKey(t, a)
		priv, err := PrivatePEM(k)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := pub.PEM()
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"k.pem": append([]byte("note\n"), priv...), "p.pem": spki} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k2, err := LoadPrivate(filepath.Join(dir, "k.pem"))
		if err != nil {
			t.Fatal(err)
		}
		p2, err := LoadPublic(filepath.Join(dir, "p.pem"))
		if err != nil {
			t.Fatal(err)
		}
		p3, err := NewPublicKey(k2.Public())
		if err != nil || p2.ID() != pub.ID() || p3.ID() != pub.ID() || p2.Algorithm() != a || len(pub.ID().String()) != 32 {
			t.Errorf("%v: %v %v %v %v", a, pub.ID(), p2.ID(), p3.ID(), err)
		}
		if _, err := LoadPublic(filepath.Join(dir, "k.pem")); err == nil || !strings.Contains(err.Error(), "k.pem: no PEM block PUBLIC KEY") {
			t.Error(err)
		}
		if b, err := ParseAlgorithm(a.String()); err != nil || b != a {
			t.Error(b, err)
		}
	}
	// RFC 8410's example key; its id can be had from openssl pkey -pubin -outform DER | sha256sum.
	p, err := ParsePublic([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	der, _ := hex.DecodeString("302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")
	if h := sha256.Sum256(der); p.ID().String() != hex.EncodeToString(h[:16]) {
		t.Error(p.ID())
	}
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewPublicKey(k.Public()); err == nil || !strings.Contains(err.Error(), "P-384") {
		t.Error(err)
	}
}

func TestSign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.edge")
	if err := WriteFile(path, small()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	k1, p1 := newKey(t, Ed25519)
	k2, p2 := newKey(t, ECDSAP256)
	_, p3 := newKey(t, Ed25519)
	verify := func(p Policy) error { _, err := Verify(path, p); return err }
	want := func(what string, err error, text string) {
		t.Helper()
		if text == "" && err != nil || text != "" && (!errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), text)) {
			t.Errorf("%s: %v, want %q", what, err, text)
		}
	}
	want("no key", verify(Policy{}), "no trusted key is given")
	want("unsigned", verify(Policy{Trusted: []PublicKey{p1}}), "the file is not signed")
	want("allowed", verify(Policy{AllowUnsigned: true}), "")
	if err := Sign(path, k1); err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Sign(path, k2); err != nil {
		t.Fatal(err)
	}
	want("first", verify(Policy{Trusted: []PublicKey{p1}}), "")
	want("second", verify(Policy{Trusted: []PublicKey{p3, p2}}), "")
	want("both", verify(Policy{Trusted: []PublicKey{p1, p2, p3}, Threshold: 2}), "")
	want("three", verify(Policy{Trusted: []PublicKey{p1, p2, p3}, Threshold: 3}), "2 of 3 needed trusted keys")
	want("the same key twice", verify(Policy{Trusted: []PublicKey{p1, p1}, Threshold: 2}), "1 of 2 needed")
	want("other key", verify(Policy{Trusted: []PublicKey{p3}}), "0 of 1 needed trusted keys have signed, the file has 2 signatures")
	want("zero key", verify(Policy{Trusted: []PublicKey{{}}}), "0 of 1")
	if ids, err := Verify(path, Policy{Trusted: []PublicKey{p2, p3}}); err != nil || len(ids) != 1 || ids[0] != p2.ID() {
		t.Error(ids, err)
	}
	two, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Signing again replaces; both kinds of signature are deterministic.
	for _, k := range []crypto.Signer{k2, k1} {
		if err := Sign(path, k); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(again, two) {
		t.Error("signed again, the file differs")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	// Only the signature block has changed.
	m, area := parts(t, plain)
	m2, area2 := parts(t, two)
	if !bytes.Equal(m, m2) || !bytes.Equal(area, area2) {
		t.Error("signing changed more than signatures")
	}
	// A signature of another file.
	other := small()
	other.Version = "9"
	b := write(t, other)
	e1, err := readEnvelope(bytes.NewReader(one), int64(len(one)))
	if err != nil {
		t.Fatal(err)
	}
	m, area = parts(t, b)
	h := header{stored: uint64(len(m)), size: uint64(len(m)), area: uint64(len(area))}
	forged := bytes.Join([][]byte{h.bytes(), m, sigBytes(e1.sigs), area}, nil)
	want("moved signature", use(forged, Policy{Trusted: []PublicKey{p1}}), "signature of key "+p1.ID().String()+" is wrong")
	want("moved signature, unsigned allowed", use(forged, Policy{Trusted: []PublicKey{p1}, AllowUnsigned: true}), "is wrong")
	// Nothing behind the signatures is parsed before they are right.
	junk := compose([]byte{0xff, 0xff}, nil)
	want("junk", use(junk, Policy{Trusted: []PublicKey{p1}}), "the file is not signed")
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestSignExternal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.edge")
	if err := WriteFile(path, small()); err != nil {
		t.Fatal(err)
	}
	k, p := newKey(t, ECDSAP256)
	hsm := func(payload []byte) ([]byte, error) {
		h := sha256.Sum256(payload)
		return k.Sign(rand.Reader, h[:], crypto.SHA256)
	}
	if err := SignExternal(path, p, hsm); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(path, Policy{Trusted: []PublicKey{p}}); err != nil {
		t.Error(err)
	}
	failed := errors.New("token absent")
	if err := SignExternal(path, p, func([]byte) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	// In two steps.
	if err := WriteFile(path, small()); err != nil {
		t.Fatal(err)
	}
	payload, err := Payload(path)
	if err != nil || !bytes.HasPrefix(payload, []byte(payloadPrefix)) || len(payload) != len(payloadPrefix)+32 {
		t.Fatalf("payload %q, %v", payload, err)
	}
	sig, err := hsm(payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := Attach(path, p, append([]byte{1}, sig...)); !errors.Is(err, ErrSignature) {
		t.Error(err)
	}
	if err := Attach(path, p, sig); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(path, Policy{Trusted: []PublicKey{p}}); err != nil {
		t.Error(err)
	}
	// A damaged file is not signed.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Sign(path, k); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, err := Verify(path, Policy{Trusted: []PublicKey{p}}); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}
