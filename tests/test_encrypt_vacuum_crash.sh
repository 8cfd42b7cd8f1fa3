#!/bin/sh
# tests/test_encrypt_vacuum_crash.sh - tests/test_vacuum_crash.sh with an encrypted
# store, then with one that the vacuum encrypts.
RECD_SEALED=--encrypt "${srcdir:-.}/tests/test_vacuum_crash.sh" || exit
RECD_VACUUM=--encrypt
. "${srcdir:-.}/tests/test_vacuum_crash.sh"
