#!/bin/sh
# tests/test_encrypt_vacuum_crash.sh - tests/test_vacuum_crash.sh with an encrypted
# store, then with one that the vacuum encrypts.
#
# RECD_EVERY=1 tries every write (make check-long), else the fifth and the second.
if [ "${RECD_EVERY:-16}" != 1 ]; then step=5; else step=1; fi
export step
RECD_SEALED=--encrypt "${srcdir:-.}/tests/test_vacuum_crash.sh" || exit
if [ "${RECD_EVERY:-16}" != 1 ]; then step=2; fi
RECD_VACUUM=--encrypt
. "${srcdir:-.}/tests/test_vacuum_crash.sh"
