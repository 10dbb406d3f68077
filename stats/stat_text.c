/* What page and tables call things. */
#include "stats/stat_page.h"

const struct stat_wording stat_check_words[CHECK_COUNT] = {
    [CHECK_SAME] = {"same", "Findings and impression are the same words",
                    "the model would learn to copy"},
    [CHECK_LONGER] = {"longer", "The impression is longer than the findings",
                      "often a report whose findings stand in the impression"},
    [CHECK_SIDE] = {"side", "The impression names a side that the findings do not",
                    "left or right; of reports in which both name a side"},
    [CHECK_MEASURE] = {"measure", "The impression measures what the findings do not",
                       "a number in mm or cm; of reports whose impression has one"},
    [CHECK_NORMAL] = {"normal", "The impression says normal, the findings measure something",
                      "of reports whose short impression says normal, unremarkable or no acute"},
    [CHECK_LABEL] = {"label", "The text names another modality than the label",
                     "examination and technique; of reports in which they name exactly one"},
};
const struct stat_wording stat_fate_words[FATE_COUNT] = {
    [FATE_SUPERSEDED] = {"superseded", "A later or more final report of the study is there",
                         "only the newest version is used"},
    [FATE_NO_SPLIT] = {"no-split", "Belongs to no split",
                       "not on the source's list, and the list alone counts"},
    [FATE_NO_FINDINGS] = {"no-findings", "No findings",
                          "left out where findings are an input; nothing is invented"},
    [FATE_NO_IMPRESSION] = {"no-impression", "No impression", "there is nothing to learn"},
    [FATE_PAIR] = {"pair", "Findings and impression", "can be trained on or tested with"},
};
const struct stat_wording stat_missing_words[SEC_COUNT] = {
    [SEC_FINDINGS] = {"findings", "Findings", "left out of training and test"},
    [SEC_IMPRESSION] = {"impression", "Impression", "left out of training and test"},
    [SEC_CLINICAL] = {"clinical", "Clinical information",
                      "its line is left out of the prompt, the report stays"},
    [SEC_EXAMINATION] = {"examination", "Examination", "its line is left out of the prompt"},
    [SEC_TECHNIQUE] = {"technique", "Technique", "its line is left out of the prompt"},
    [SEC_COMPARISON] = {"comparison", "Comparison", "its line is left out of the prompt"},
    [SEC_BACKGROUND] = {"background", "Background (MEDIQA)",
                        "found in mediqa mode alone; its line is left out of the prompt"},
};
const char *const stat_reject_words[REJECT_COUNT] = {
    [REJECT_NO_NAME] = "the member's name cannot be decoded",
    [REJECT_DUPLICATE] = "a later entry of the archive has the same name",
    [REJECT_ENCRYPTED] = "needs a password",
    [REJECT_METHOD] = "compressed in a way that is not read",
    [REJECT_LOCAL] = "the archive's directory and its content disagree",
    [REJECT_TRUNCATED] = "the data end too early",
    [REJECT_CORRUPT] = "the compressed data are damaged",
    [REJECT_CRC] = "the checksum does not match",
    [REJECT_SIZE] = "unpacks to another size than promised",
    [REJECT_TOO_LARGE] = "larger than corpus.max_entry",
    [REJECT_RATIO] = "unpacks to too many times its size",
    [REJECT_ROW_FIELDS] = "a table row with another number of cells",
    [REJECT_ROW_QUOTES] = "a table row whose quotes do not balance",
    [REJECT_FORMAT] = "not what its format promises",
    [REJECT_NO_TEXT] = "no text, or of a kind that is not read",
    [REJECT_NESTED] = "an archive nested too deep",
    [REJECT_NO_PATIENT] = "no patient id (no_patient: drop)",
    [REJECT_NO_STUDY] = "no study id (no_study: drop)",
    [REJECT_UNLISTED] = "patient not in the split list (unlisted: drop)",
};
const char *const stat_status_words[STATUS_COUNT] = {"not said", "preliminary", "final",
                                                     "addendum", "corrected",   "cancelled"};
const char *const stat_flag_words[RECORD_FLAGS] = {
    "no findings",
    "no impression",
    "characters repaired that were not UTF-8",
    "cut short in the source",
    "same text as an earlier report",
    "superseded by a later or more final report",
    "no patient known: split by study",
    "findings and impression parted by their place alone",
};
