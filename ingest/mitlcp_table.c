#include "ingest/mitlcp_table.h"

#define LAST(study, section)                                                                       \
    {                                                                                              \
        STR_INIT(study), STR_INIT(section), 0, 0                                                   \
    }
#define SLICE(study, begin, end)                                                                   \
    {                                                                                              \
        STR_INIT(study), STR_INIT(""), begin, end                                                  \
    }

const struct mitlcp_rule mitlcp_published[] = {
    LAST("50058765", "indication"),
    LAST("50743547", "examination"),
    LAST("50808053", "technique"),
    LAST("50913680", "recommendations"),
    LAST("51491012", "history"),
    LAST("51966317", "indication"),
    LAST("53202765", "technique"),
    LAST("53356173", "examination"),
    LAST("54365831", "indication"),
    LAST("54654948", "indication"),
    LAST("55124749", "indication"),
    LAST("55157853", "examination"),
    LAST("56451190", "note"),
    LAST("56482935", "recommendations"),
    LAST("57936451", "indication"),
    LAST("58157373", "recommendations"),
    LAST("58375018", "recommendations"),
    LAST("59067458", "recommendations"),
    LAST("59087630", "recommendations"),
    LAST("59215320", "examination"),
    LAST("59279892", "technique"),
    LAST("59363654", "examination"),
    LAST("59768032", "recommendations"),
    SLICE("50196495", 59, 399),
    SLICE("50525523", 201, 349),
    SLICE("50798377", 0, 0),
    SLICE("51410602", 47, 320),
    SLICE("52035334", 0, 0),
    SLICE("52119491", 179, 454),
    SLICE("52648681", 292, 631),
    SLICE("52674888", 145, 296),
    SLICE("53071062", 0, 0),
    SLICE("53182247", 59, 412),
    SLICE("53488209", 149, 475),
    SLICE("53514462", 73, 377),
    SLICE("53607029", 0, 0),
    SLICE("54168089", 0, 0),
    SLICE("54231141", 0, 0),
    SLICE("54875119", 234, 988),
    SLICE("54986978", 59, 306),
    SLICE("55258338", 192, 568),
    SLICE("56412866", 522, 822),
    SLICE("56579911", 59, 218),
    SLICE("56724958", 0, 0),
    SLICE("56760320", 219, 457),
    SLICE("57150433", 61, 394),
    SLICE("57564132", 233, 554),
    SLICE("58235663", 0, 0),
    SLICE("59003148", 262, 505),
    SLICE("59330497", 140, 655),
    SLICE("59505494", 59, 450),
    SLICE("59562049", 158, 348),
    SLICE("59889364", 172, 453),
    SLICE("59982525", 313, 717),
};
const size_t mitlcp_published_count = sizeof mitlcp_published / sizeof *mitlcp_published;
