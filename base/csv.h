/* base/csv.h - writing comma-separated values (reading: libcsv). */
#ifndef CSV_H
#define CSV_H

#include <stdio.h>

/* Write one cell, in quotes where RFC 4180 asks for them. */
void csv_cell(FILE *out, const char *text);

#endif
