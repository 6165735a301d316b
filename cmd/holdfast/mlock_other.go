//go:build !linux

package main

import "errors"

func lockMemory() error { return errors.New("not supported on this system") }
