#!/bin/sh
# tests/test_encrypt_forget_crash.sh - tests/test_forget_crash.sh with an encrypted store.
RECD_SEALED=--encrypt
. "${srcdir:-.}/tests/test_forget_crash.sh"
