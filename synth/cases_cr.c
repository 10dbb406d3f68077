#include "synth/cases.h"

/* ---- abdomen */
enum { AB_GAS, AB_AIR, AB_STONES, AB_BONES, AB_TUBES };
static const char *const abdomen_normals[] = {
    [AB_GAS] =
        "[The bowel gas pattern is [normal|nonobstructive|unremarkable].|There is a "
        "nonobstructive bowel gas pattern.|No dilated loops of bowel are [seen|identified].]",
    [AB_AIR] =
        "[No [evidence of |]free intraperitoneal air.|There is no pneumoperitoneum.|No free air "
        "is [seen|identified].]",
    [AB_STONES] = "[No abnormal calcifications.|There are no [suspicious |]calcifications over the "
                  "renal shadows.|No radiopaque calculi are [seen|identified].]",
    [AB_BONES] =
        "[The [visualized |]osseous structures are [intact|unremarkable].|No acute osseous "
        "abnormality.|Degenerative changes of the lumbar spine are [noted|present].]",
    [AB_TUBES] = "",
};
static const struct synth_lesion abdomen_lesions[] = {
    {.organ = AB_GAS,
     .acuity = 3,
     .word = "small bowel obstruction",
     .lo_mm = 32,
     .hi_mm = 60,
     .sev = "multiple|several|numerous",
     .trend = true,
     .find =
         "[There are {sev} dilated loops of small bowel measuring up to {dim} with air-fluid "
         "levels, "
         "in keeping with small bowel obstruction{chg}.|{sev} small bowel loops are dilated up to "
         "{dim}, [concerning for|suspicious for] small bowel obstruction{chg}.]",
     .imp = "[Small bowel obstruction with loops up to {dim}{chgi}.|Findings [concerning for|"
            "consistent with] small bowel obstruction{chgi}.]",
     .advice = "CT of the abdomen is recommended."},
    {.organ = AB_GAS,
     .acuity = 2,
     .word = "stool",
     .sev = "moderate|large|considerable",
     .kind = "throughout the colon|in the right colon|in the rectum|in the descending colon",
     .find =
         "[There is a {sev} amount of stool {kind}.|A {sev} stool burden is [seen|noted|present] "
         "{kind}.]",
     .imp = "[{sev} stool burden {kind}.|{sev} amount of stool {kind}.]"},
    {.organ = AB_GAS,
     .acuity = 2,
     .word = "ileus",
     .sev = "mild|moderate|diffuse",
     .trend = true,
     .find =
         "[There is {sev} gaseous distention of small and large bowel, [suggesting|most consistent "
         "with] ileus{chg}.|{sev} ileus pattern with gas in small bowel and colon{chg}.]",
     .imp = "[{sev} ileus{chgi}.|Bowel gas pattern [suggesting|favoring] {sev} ileus{chgi}.]"},
    {.organ = AB_AIR,
     .acuity = 3,
     .word = "free",
     .sev = "small|moderate|large",
     .find = "[There is a {sev} amount of free intraperitoneal air.|A {sev} volume of free air is "
             "[seen|"
             "present] beneath the diaphragm.]",
     .imp = "[{sev} free intraperitoneal air, [concerning for|suspicious for] perforation.|{sev} "
            "amount of free air.]",
     .advice = "Surgical consultation is recommended."},
    {.organ = AB_STONES,
     .acuity = 2,
     .word = "calculus",
     .site = "right|left",
     .lo_mm = 3,
     .hi_mm = 14,
     .kind = "lower pole|upper pole|interpolar|renal pelvic",
     .trend = true,
     .find =
         "[A {dim} {site} {kind} renal calculus is [seen|identified|noted]{chg}.|There is a {dim} "
         "calculus over the {site} kidney, {kind}{chg}.]",
     .imp = "[{dim} {site} renal calculus{chgi}.|{site} {kind} calculus measuring {dim}{chgi}.]"},
    {.organ = AB_BONES,
     .acuity = 1,
     .word = "scoliosis",
     .sev = "mild|moderate|severe",
     .kind = "levoconvex|dextroconvex",
     .find =
         "[There is {sev} {kind} lumbar scoliosis.|{sev} {kind} scoliosis of the lumbar spine is "
         "[seen|noted].]",
     .imp = "[{sev} {kind} scoliosis.|{sev} lumbar scoliosis.]"},
    {.organ = AB_TUBES,
     .acuity = 2,
     .word = "nasogastric tube",
     .kind = "gastric body|gastric antrum|proximal duodenum|gastric fundus",
     .find = "[The tip of the nasogastric tube projects over the {kind}.|A nasogastric tube [ends|"
             "terminates] in the {kind}.]",
     .imp = "[Nasogastric tube with tip in the {kind}.|Nasogastric tube tip in the {kind}.]"},
};

/* ---- knee */
enum { KN_FRACTURE, KN_EFFUSION, KN_JOINT, KN_SOFT, KN_HARDWARE };
static const char *const knee_normals[] = {
    [KN_FRACTURE] =
        "[No [acute |]fracture or dislocation.|There is no [evidence of |]acute fracture.|No "
        "fracture is [seen|identified].]",
    [KN_EFFUSION] =
        "[No joint effusion.|There is no [significant |]suprapatellar effusion.|No effusion "
        "is [seen|present].]",
    [KN_JOINT] = "[Joint spaces are [preserved|maintained].|The joint compartments are normal.|No "
                 "significant degenerative change.|Minimal spurring is noted.]",
    [KN_SOFT] = "[The soft tissues are [normal|unremarkable].|No soft tissue abnormality.|]",
    [KN_HARDWARE] = "",
};
static const struct synth_lesion knee_lesions[] = {
    {.organ = KN_FRACTURE,
     .acuity = 3,
     .word = "fracture",
     .kind = "lateral tibial plateau|medial tibial plateau|patellar|proximal fibular|distal "
             "femoral|tibial spine",
     .sev = "nondisplaced|minimally displaced|displaced|comminuted|depressed",
     .find =
         "[There is a {sev} {kind} fracture.|A {sev} {kind} fracture is [seen|identified|present].|"
         "Lucent line with cortical step-off indicates a {sev} {kind} fracture.]",
     .imp = "[{sev} {kind} fracture.|Acute {kind} fracture, {sev}.]",
     .advice = "Orthopedic follow-up is recommended."},
    {.organ = KN_EFFUSION,
     .acuity = 2,
     .word = "effusion",
     .sev = "small|moderate|large",
     .trend = true,
     .find = "[There is a {sev} [suprapatellar |knee |]joint effusion{chg}.|A {sev} effusion "
             "distends the "
             "suprapatellar recess{chg}.]",
     .imp = "[{sev} joint effusion{chgi}.|{sev} knee effusion{chgi}.]"},
    {.organ = KN_JOINT,
     .acuity = 2,
     .word = "osteoarthritis",
     .sev = "mild|moderate|severe|advanced",
     .kind = "medial compartment|lateral compartment|patellofemoral|tricompartmental",
     .trend = true,
     .find =
         "[There is {sev} {kind} osteoarthritis with [joint space narrowing|marginal osteophytes|"
         "subchondral sclerosis]{chg}.|{kind} joint space loss and osteophytes reflect {sev} "
         "osteoarthritis{chg}.]",
     .imp = "[{sev} {kind} osteoarthritis{chgi}.|{kind} osteoarthritis, {sev}{chgi}.]"},
    {.organ = KN_JOINT,
     .acuity = 1,
     .word = "chondrocalcinosis",
     .sev = "mild|moderate|extensive",
     .kind = "medial and lateral menisci|lateral meniscus|medial meniscus",
     .find =
         "[{sev} chondrocalcinosis of the {kind} is [seen|noted].|There is {sev} chondrocalcinosis "
         "involving the {kind}.]",
     .imp = "[{sev} chondrocalcinosis.|Chondrocalcinosis of the {kind}.]"},
    {.organ = KN_SOFT,
     .acuity = 2,
     .word = "soft tissue swelling",
     .sev = "mild|moderate|marked",
     .kind = "prepatellar|medial|lateral|anterior",
     .find =
         "[There is {sev} {kind} soft tissue swelling.|{sev} {kind} soft tissue swelling is [noted|"
         "present].]",
     .imp = "[{sev} {kind} soft tissue swelling.|{kind} soft tissue swelling.]"},
    {.organ = KN_HARDWARE,
     .acuity = 1,
     .word = "arthroplasty",
     .kind = "total knee|unicompartmental|patellofemoral",
     .find =
         "[A {kind} arthroplasty is in [expected|anatomic] alignment without [loosening|lucency|"
         "hardware complication].|Status post {kind} arthroplasty without complication.]",
     .imp = "[{kind} arthroplasty without complication.|Intact {kind} arthroplasty.]"},
};

/* ---- wrist and hand, ankle and foot: long bones of the limbs share organs */
enum { LI_FRACTURE, LI_ALIGN, LI_JOINT, LI_SOFT };
static const char *const limb_normals[] = {
    [LI_FRACTURE] =
        "[No [acute |]fracture [or dislocation |]is [seen|identified].|There is no acute "
        "fracture.|No cortical break is [seen|identified].]",
    [LI_ALIGN] =
        "[Alignment is [normal|anatomic|maintained].|No dislocation or subluxation.|The bones "
        "are normally aligned.]",
    [LI_JOINT] =
        "[Joint spaces are [preserved|maintained].|No erosions are [seen|identified].|Mild "
        "degenerative change is noted.]",
    [LI_SOFT] = "[The soft tissues are [normal|unremarkable].|No radiopaque foreign body.|]",
};
static const struct synth_lesion wrist_lesions[] = {
    {.organ = LI_FRACTURE,
     .acuity = 3,
     .word = "fracture",
     .site = "right|left",
     .kind = "distal radius|ulnar styloid|scaphoid waist|fifth metacarpal neck|triquetral|first "
             "metacarpal base",
     .sev =
         "nondisplaced|minimally displaced|dorsally angulated|impacted|comminuted intra-articular",
     .find =
         "[There is a {sev} fracture of the {site} {kind}.|A {sev} {site} {kind} fracture is [seen|"
         "present|identified].|Cortical disruption of the {site} {kind} indicates a {sev} "
         "fracture.]",
     .imp = "[{sev} {site} {kind} fracture.|Acute fracture of the {site} {kind}, {sev}.]"},
    {.organ = LI_ALIGN,
     .acuity = 3,
     .word = "widening",
     .lo_mm = 4,
     .hi_mm = 7,
     .find =
         "[There is widening of the scapholunate interval to {dim}.|Scapholunate interval widening "
         "measures {dim}.]",
     .imp = "[Scapholunate widening, [concerning for|suspicious for] ligament injury.|Scapholunate "
            "interval widening of {dim}.]",
     .advice = "MRI of the wrist may be considered."},
    {.organ = LI_JOINT,
     .acuity = 2,
     .word = "osteoarthritis",
     .sev = "mild|moderate|severe",
     .trend = true,
     .kind = "first carpometacarpal|distal interphalangeal|radiocarpal|scaphotrapeziotrapezoid",
     .find =
         "[There is {sev} {kind} osteoarthritis{chg}.|{kind} joint space narrowing and osteophytes "
         "reflect {sev} osteoarthritis{chg}.]",
     .imp = "[{sev} {kind} osteoarthritis{chgi}.|{kind} osteoarthritis, {sev}{chgi}.]"},
    {.organ = LI_JOINT,
     .acuity = 2,
     .word = "erosions",
     .kind = "metacarpophalangeal|proximal interphalangeal|carpal",
     .trend = true,
     .sev = "marginal|multiple|subtle",
     .find =
         "[There are {sev} erosions at the {kind} joints{chg}.|{sev} erosions involve the {kind} "
         "joints{chg}.]",
     .imp = "[{kind} erosions, [consistent with|suggesting] inflammatory arthropathy{chgi}.|{sev} "
            "erosions at the {kind} joints{chgi}.]"},
    {.organ = LI_SOFT,
     .acuity = 2,
     .word = "soft tissue swelling",
     .sev = "mild|moderate|diffuse",
     .kind = "dorsal|ulnar|radial|volar",
     .find =
         "[There is {sev} {kind} soft tissue swelling.|{sev} soft tissue swelling is [seen|noted] "
         "on the {kind} side.]",
     .imp = "[{sev} {kind} soft tissue swelling.|{kind} soft tissue swelling.]"},
};
static const struct synth_lesion ankle_lesions[] = {
    {.organ = LI_FRACTURE,
     .acuity = 3,
     .word = "fracture",
     .site = "right|left",
     .kind = "lateral malleolus|medial malleolus|posterior malleolus|fifth metatarsal "
             "base|calcaneal|talar neck",
     .sev = "nondisplaced|minimally displaced|oblique|transverse|comminuted",
     .find =
         "[There is a {sev} fracture of the {site} {kind}.|A {sev} {site} {kind} fracture is [seen|"
         "present|identified].|Lucency through the {site} {kind} represents a {sev} fracture.]",
     .imp = "[{sev} {site} {kind} fracture.|Acute fracture of the {site} {kind}, {sev}.]"},
    {.organ = LI_ALIGN,
     .acuity = 3,
     .word = "mortise",
     .sev = "mild|moderate|marked",
     .find = "[There is {sev} widening of the ankle mortise.|The mortise shows {sev} widening "
             "medially.]",
     .imp =
         "[{sev} widening of the ankle mortise.|Mortise widening, [concerning for|suspicious for] "
         "syndesmotic injury.]",
     .advice = "Orthopedic consultation is recommended."},
    {.organ = LI_JOINT,
     .acuity = 1,
     .word = "spur",
     .sev = "small|moderate|large",
     .kind = "plantar|posterior",
     .find =
         "[There is a {sev} {kind} calcaneal spur.|A {sev} {kind} calcaneal spur is [noted|seen].]",
     .imp = "[{sev} {kind} calcaneal spur.|{kind} calcaneal spur.]"},
    {.organ = LI_JOINT,
     .acuity = 2,
     .word = "osteoarthritis",
     .sev = "mild|moderate|severe",
     .trend = true,
     .kind = "tibiotalar|subtalar|first metatarsophalangeal|midfoot",
     .find =
         "[There is {sev} {kind} osteoarthritis{chg}.|Narrowing and sclerosis of the {kind} joint "
         "reflect {sev} osteoarthritis{chg}.]",
     .imp = "[{sev} {kind} osteoarthritis{chgi}.|{kind} osteoarthritis, {sev}{chgi}.]"},
    {.organ = LI_SOFT,
     .acuity = 2,
     .word = "soft tissue swelling",
     .sev = "mild|moderate|marked",
     .kind = "lateral|medial|dorsal|diffuse",
     .find = "[There is {sev} {kind} soft tissue swelling.|{sev} {kind} soft tissue swelling is "
             "[present|noted].]",
     .imp = "[{sev} {kind} soft tissue swelling.|{kind} soft tissue swelling.]"},
};

/* ---- lumbar spine */
enum { LS_BODY, LS_ALIGN, LS_DISC, LS_FACET };
static const char *const spine_normals[] = {
    [LS_BODY] = "[Vertebral body heights are [maintained|preserved].|No [acute |]compression "
                "fracture.|There is no loss of vertebral body height.]",
    [LS_ALIGN] =
        "[Alignment is [normal|maintained|anatomic].|No spondylolisthesis.|Lumbar lordosis is "
        "preserved.]",
    [LS_DISC] =
        "[Disc spaces are [preserved|maintained].|The intervertebral disc heights are normal.]",
    [LS_FACET] =
        "[The sacroiliac joints are [normal|unremarkable].|No significant facet disease.|]",
};
static const struct synth_lesion spine_lesions[] = {
    {.organ = LS_BODY,
     .acuity = 3,
     .word = "compression fracture",
     .kind = "L1|L2|L3|L4|L5|T12",
     .trend = true,
     .sev = "mild|moderate|severe",
     .find = "[There is a {sev} compression fracture of {kind}{chg}.|{kind} shows a {sev} superior "
             "endplate compression fracture{chg}.]",
     .imp =
         "[{sev} {kind} compression fracture{chgi}.|Compression fracture of {kind}, {sev}{chgi}.]"},
    {.organ = LS_ALIGN,
     .acuity = 2,
     .word = "listhesis",
     .sev = "grade 1|grade 2|mild|minimal",
     .trend = true,
     .kind = "L3 on L4|L4 on L5|L5 on S1",
     .find = "[There is {sev} anterolisthesis of {kind}{chg}.|{sev} anterolisthesis of {kind} is "
             "[noted|"
             "seen|present]{chg}.]",
     .imp = "[{sev} anterolisthesis of {kind}{chgi}.|Anterolisthesis of {kind}, {sev}{chgi}.]"},
    {.organ = LS_DISC,
     .acuity = 2,
     .word = "disc",
     .sev = "mild|moderate|severe",
     .trend = true,
     .kind = "L2-L3|L3-L4|L4-L5|L5-S1|multilevel",
     .find =
         "[There is {sev} {kind} disc space narrowing{chg}.|{sev} {kind} degenerative disc disease "
         "with [endplate osteophytes|vacuum phenomenon]{chg}.]",
     .imp = "[{sev} {kind} degenerative disc disease{chgi}.|Degenerative disc disease, {sev}, "
            "{kind}{chgi}.]"},
    {.organ = LS_FACET,
     .acuity = 1,
     .word = "facet",
     .sev = "mild|moderate|severe",
     .kind = "L4-L5|L5-S1|lower lumbar",
     .find = "[There is {sev} {kind} facet arthropathy.|{sev} facet arthropathy is [seen|noted] at "
             "{kind}.]",
     .imp = "[{sev} {kind} facet arthropathy.|{kind} facet arthropathy.]"},
};

#define TRAUMA                                                                                     \
    "pain after a fall|twisting injury|pain|swelling|trauma|motor vehicle accident|chronic pain"

const struct synth_exam synth_exams_cr[] = {
    {.modality = "CR",
     .description = "XR ABDOMEN 1 VIEW|KUB|Abdomen supine and upright",
     .technique = "Supine view of the abdomen|Supine and upright views of the abdomen",
     .clinical = "abdominal pain|constipation|nausea and vomiting|abdominal distention|flank "
                 "pain|tube placement",
     .normals = SYNTH_TABLE(abdomen_normals),
     .lesions = SYNTH_TABLE(abdomen_lesions),
     .none = "[Normal bowel gas pattern.|No evidence of obstruction.|Nonobstructive bowel gas "
             "pattern.]",
     .acute = "No evidence of bowel obstruction.",
     .weight = 30},
    {.modality = "CR",
     .description = "XR KNEE 3 VIEWS|Knee radiographs, AP, lateral and sunrise|XR KNEE COMPLETE",
     .technique = "AP, lateral and sunrise views of the knee|Three views of the knee",
     .clinical = TRAUMA,
     .normals = SYNTH_TABLE(knee_normals),
     .lesions = SYNTH_TABLE(knee_lesions),
     .none = "[No acute fracture or dislocation.|Normal knee radiographs.|No acute osseous "
             "abnormality.]",
     .acute = "No acute fracture.",
     .weight = 40},
    {.modality = "CR",
     .description = "XR WRIST 3 VIEWS|XR HAND 3 VIEWS|Wrist radiographs",
     .technique = "PA, oblique and lateral views|Three views were obtained",
     .clinical = TRAUMA,
     .normals = SYNTH_TABLE(limb_normals),
     .lesions = SYNTH_TABLE(wrist_lesions),
     .none = "[No acute fracture or dislocation.|Normal wrist radiographs.|No acute osseous "
             "abnormality.]",
     .acute = "No acute fracture.",
     .weight = 30},
    {.modality = "CR",
     .description = "XR ANKLE 3 VIEWS|XR FOOT 3 VIEWS|Ankle radiographs, AP, mortise and lateral",
     .technique = "AP, mortise and lateral views|Three views were obtained",
     .clinical = TRAUMA,
     .normals = SYNTH_TABLE(limb_normals),
     .lesions = SYNTH_TABLE(ankle_lesions),
     .none = "[No acute fracture or dislocation.|Normal ankle radiographs.|No acute osseous "
             "abnormality.]",
     .acute = "No acute fracture.",
     .weight = 30},
    {.modality = "CR",
     .description = "XR LUMBAR SPINE 2 OR 3 VIEWS|Lumbar spine radiographs",
     .technique =
         "AP and lateral views of the lumbar spine|Frontal, lateral and spot lateral views",
     .clinical = "low back pain|radiculopathy|fall|osteoporosis",
     .normals = SYNTH_TABLE(spine_normals),
     .lesions = SYNTH_TABLE(spine_lesions),
     .none =
         "[No acute osseous abnormality.|Normal lumbar spine.|No acute fracture or malalignment.]",
     .acute = "No acute fracture.",
     .weight = 30},
};
const size_t synth_exams_cr_n = sizeof synth_exams_cr / sizeof *synth_exams_cr;
