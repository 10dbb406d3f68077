/* The build without MPI: comm_open is one rank. */
#include "comm/comm.h"

bool comm_open(int *argc, char ***argv, struct comm **out, struct err *e)
{
    (void)argc;
    (void)argv;
    return comm_open_self(out, e);
}

struct version_pair comm_version(void)
{
    return (struct version_pair){"none", "none"};
}

const char *comm_library(void)
{
    return "none";
}
