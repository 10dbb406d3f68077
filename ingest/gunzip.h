/*
 * ingest/gunzip - a gzip file unpacked as a stream, its checksums looked at.
 *
 * libarchive's own gzip filter skips the CRC and the length behind the data (3.6.2), so that a
 * flipped bit would pass as report text. zlib checks both. Members one behind the other are one
 * stream, as gzip has it.
 */
#pragma once
#include "ingest/bytes.h"

struct gunzip;
/* Does it begin as a gzip file does? */
bool gunzip_is(struct str head);
/* in is borrowed until close. */
MUST_CHECK bool gunzip_open(struct bytes in, struct gunzip **out, struct err *e);
/* The next bytes, borrowed until the next call; none at the end. Damage is ERR_FORMAT. */
MUST_CHECK bool gunzip_next(struct gunzip *g, struct str *out, struct err *e);
void gunzip_close(struct gunzip *g);
