/*
 * ingest/when - a date as dumps write it, as one number YYYYMMDDhhmmss; 0: none that we know.
 *
 * ISO 8601 ("2016-11-18", "2016-11-18T12:30:00Z"), HL7 and DICOM ("201611181230", "20161118"),
 * "11/18/2016 2:05 PM" (month first, unless that cannot be: 18/11/2016, 18.11.2016),
 * "18-NOV-2016", and Excel's serial days ("42692.52", of the 1900 calendar). Zones are not
 * applied: versions of one report come from one system.
 */
#pragma once
#include <stdint.h>

#include "base/str.h"

uint64_t when_of(struct str s);
