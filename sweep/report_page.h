/*
 * sweep/report_page - report_page.html as bytes of the program; @FACTS@ in it stands for the JSON
 * of sweep_facts. Made from the page by the build.
 */
#pragma once
#include <stddef.h>

extern const char report_page[];
extern const size_t report_page_bytes;
