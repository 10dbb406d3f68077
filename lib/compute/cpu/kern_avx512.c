#define KERN_ISA   "avx512"
#define KERN_TABLE cpu_kern_avx512
#include "compute/cpu/kern_body.h"
