package container

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Algorithm is a signature algorithm.
type Algorithm uint8

// The algorithms. Ed25519 signs the payload itself; ECDSA signs its SHA-256 and writes the signature as ASN.1 DER.
const (
	Ed25519   Algorithm = 1
	ECDSAP256 Algorithm = 2
)

// String returns the algorithm's name.
func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "ed25519"
	case ECDSAP256:
		return "ecdsa-p256"
	}
	return fmt.Sprintf("algorithm(%d)", uint8(a))
}

// ParseAlgorithm is the inverse of String.
func ParseAlgorithm(s string) (Algorithm, error) {
	for _, a := range []Algorithm{Ed25519, ECDSAP256} {
		if a.String() == s {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown signature algorithm %q", s)
}

// KeyIDSize is the size of a key id in bytes.
const KeyIDSize = 16

// KeyID identifies a public key: the first 16 bytes of the SHA-256 of its SPKI in DER.
type KeyID [KeyIDSize]byte

// String returns the id in hexadecimal.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// PublicKey verifies signatures. The zero value verifies none.
type PublicKey struct {
	key crypto.PublicKey
	alg Algorithm
	id  KeyID
}

// NewPublicKey takes an ed25519.PublicKey or an *ecdsa.PublicKey on P-256.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	p := PublicKey{key: key}
	switch k := key.(type) {
	case ed25519.PublicKey:
		p.alg = Ed25519
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("ECDSA on %s: only P-256 is supported", k.Curve.Params().Name)
		}
		p.alg = ECDSAP256
	default:
		return PublicKey{}, fmt.Errorf("keys of type %T are not supported: Ed25519 and ECDSA on P-256 are", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, err
	}
	h := sha256.Sum256(der)
	p.id = KeyID(h[:KeyIDSize])
	return p, nil
}

// ID is the key's id.
func (p PublicKey) ID() KeyID { return p.id }

// Algorithm is the one that the key is for.
func (p PublicKey) Algorithm() Algorithm { return p.alg }

// PEM encodes the key as SPKI.
func (p PublicKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(p.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// verify checks a signature over payload.
func (p PublicKey) verify(payload, sig []byte) bool {
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, payload, sig)
	case *ecdsa.PublicKey:
		h := sha256.Sum256(payload)
		return ecdsa.VerifyASN1(k, h[:], sig)
	}
	return false
}

// GenerateKey makes a private key.
func GenerateKey(a Algorithm) (crypto.Signer, error) {
	switch a {
	case Ed25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("unknown signature %v", a)
}

// PrivatePEM encodes a private key as PKCS#8.
func PrivatePEM(k crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePrivate reads a private key from PEM.
func ParsePrivate(b []byte) (crypto.Signer, error) {
	der, err := block(b, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T cannot sign", k)
	}
	if _, err := NewPublicKey(s.Public()); err != nil {
		return nil, err
	}
	return s, nil
}

// ParsePublic reads a public key from PEM.
func ParsePublic(b []byte) (PublicKey, error) {
	der, err := block(b, "PUBLIC KEY")
	if err != nil {
		return PublicKey{}, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return NewPublicKey(k)
}

// block finds the first PEM block of a type.
func block(b []byte, kind string) ([]byte, error) {
	for {
		p, rest := pem.Decode(b)
		if p == nil {
			return nil, errors.New("no PEM block " + kind)
		}
		if p.Type == kind {
			return p.Bytes, nil
		}
		b = rest
	}
}

// LoadPrivate reads a PEM file with a private key.
func LoadPrivate(path string) (crypto.Signer, error) { return loadKey(path, ParsePrivate) }

// LoadPublic reads a PEM file with a public key.
func LoadPublic(path string) (PublicKey, error) { return loadKey(path, ParsePublic) }

func loadKey[T any](path string, parse func([]byte) (T, error)) (k T, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if k, err = parse(b); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return k, err
}
