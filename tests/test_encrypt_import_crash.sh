#!/bin/sh
# tests/test_encrypt_import_crash.sh - tests/test_import_crash.sh with an encrypted store.
RECD_SEALED=--encrypt
. "${srcdir:-.}/tests/test_import_crash.sh"
