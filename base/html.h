/* base/html.h - pages that need nothing but themselves: no script, no network,
 * readable on a telephone and on paper. */
#ifndef HTML_H
#define HTML_H

#include <stdio.h>

/* Text with what means something to HTML escaped. */
void html_text(FILE *out, const char *text);

/* From the doctype to the body's start; style: more CSS, or "". */
void html_head(FILE *out, const char *title, const char *style);

#endif
