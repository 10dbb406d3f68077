#define KERN_ISA   "avx2"
#define KERN_TABLE cpu_kern_avx2
#include "compute/cpu/kern_body.h"
