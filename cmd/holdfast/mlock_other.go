//go:build !linux

package main

import "errors"

func allowLocking() {}

func lockMemory() error { return errors.New("not supported on this system") }
