/*
 * reader: the text of an INI file as a document, through inih.
 *
 * inih tells no line numbers, passes over sections without keys, splits lines that are too long
 * and cuts names, all without a word. So it is fed line by line, and each line is looked at before
 * it gets there: what inih would misread is a problem with its line, and not handed on.
 */
#ifndef LASTCALL_CONFIG_READER_H
#define LASTCALL_CONFIG_READER_H

#include <stddef.h>

#include "config/document.h"
#include "config/problems.h"

/* Adds what stands in `text` to `document`, and what is wrong with it to `problems`. */
void reader_read(const char *text, size_t length, struct document *document,
                 struct problems *problems);

#endif
