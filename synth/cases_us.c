#include "synth/cases.h"

/* ---- right upper quadrant */
enum { RQ_LIVER, RQ_GB, RQ_DUCT, RQ_KIDNEY, RQ_FLUID };
static const char *const rq_normals[] = {
    [RQ_LIVER] = "[The liver is normal in [size and |]echotexture.|No focal hepatic lesion.|Normal "
                 "hepatic echogenicity.]",
    [RQ_GB] = "[The gallbladder is normal without stones or wall thickening.|No gallstones; "
              "sonographic Murphy sign is negative.|Normal gallbladder.]",
    [RQ_DUCT] = "[The common bile duct is normal in caliber.|No biliary dilatation.|The common "
                "duct measures 4 mm.]",
    [RQ_KIDNEY] = "[The right kidney is normal without hydronephrosis.|No right hydronephrosis.]",
    [RQ_FLUID] = "[No ascites.|No free fluid.|]",
};
static const struct synth_lesion rq_lesions[] = {
    {.organ = RQ_GB,
     .acuity = 3,
     .word = "cholecystitis",
     .lo_mm = 4,
     .hi_mm = 9,
     .kind = "positive|equivocal",
     .find = "[Gallstones, wall thickening to {dim} and a {kind} sonographic Murphy sign suggest "
             "acute cholecystitis.|The gallbladder wall measures {dim} with stones and "
             "a {kind} Murphy sign, concerning for acute cholecystitis.]",
     .imp = "[Cholelithiasis with findings of acute cholecystitis.|Acute cholecystitis.]",
     .advice = "Surgical consultation is recommended."},
    {.organ = RQ_GB,
     .acuity = 2,
     .word = "cholelithiasis",
     .lo_mm = 3,
     .hi_mm = 24,
     .sev = "multiple|several|mobile|shadowing",
     .find = "[There is cholelithiasis with {sev} stones up to {dim} and no wall thickening.|{sev} "
             "gallstones measure up to {dim}, cholelithiasis without wall thickening.]",
     .imp = "[Cholelithiasis without cholecystitis.|Cholelithiasis with stones up to {dim}.]"},
    {.organ = RQ_GB,
     .acuity = 1,
     .word = "polyp",
     .lo_mm = 3,
     .hi_mm = 12,
     .trend = true,
     .find = "[A {dim} gallbladder polyp is [seen|noted]{chg}.|There is a gallbladder polyp "
             "measuring {dim}{chg}.]",
     .imp = "[{dim} gallbladder polyp{chgi}.|Gallbladder polyp measuring {dim}{chgi}.]",
     .advice = "Follow-up ultrasound in 6 months is recommended.",
     .advice_mm = 6},
    {.organ = RQ_DUCT,
     .acuity = 3,
     .word = "biliary",
     .lo_mm = 8,
     .hi_mm = 19,
     .sev = "mild|moderate|marked",
     .trend = true,
     .find = "[There is {sev} biliary dilatation, the common duct measuring {dim}{chg}.|The common "
             "duct is dilated to {dim} with {sev} intrahepatic biliary dilatation{chg}.]",
     .imp = "[{sev} biliary dilatation with common duct of {dim}{chgi}.|{sev} biliary ductal "
            "dilatation{chgi}.]",
     .advice = "MRCP is recommended."},
    {.organ = RQ_LIVER,
     .acuity = 1,
     .word = "steatosis",
     .sev = "mild|moderate|severe",
     .find =
         "[The liver is echogenic, reflecting {sev} steatosis.|There is {sev} hepatic steatosis.]",
     .imp = "[{sev} hepatic steatosis.|Hepatic steatosis, {sev}.]"},
    {.organ = RQ_LIVER,
     .acuity = 2,
     .word = "cirrho",
     .sev = "coarse|nodular",
     .find = "[The liver is {sev} in keeping with cirrhosis.|{sev} hepatic echotexture suggests "
             "cirrhosis.]",
     .imp = "[Cirrhosis.|Cirrhotic liver morphology.]"},
    {.organ = RQ_LIVER,
     .acuity = 2,
     .word = "lesion",
     .lo_mm = 8,
     .hi_mm = 52,
     .sev = "hyperechoic|hypoechoic|isoechoic",
     .kind = "right hepatic lobe|left hepatic lobe",
     .trend = true,
     .find = "[There is a {size} {sev} lesion in the {kind}{chg}.|A {sev} lesion in the {kind} "
             "measures {size}{chg}.]",
     .imp = "[{dim} {sev} {kind} lesion{chgi}.|{sev} lesion in the {kind} measuring {dim}{chgi}.]",
     .advice = "MRI of the liver is recommended.",
     .advice_mm = 10},
    {.organ = RQ_KIDNEY,
     .acuity = 2,
     .word = "hydronephrosis",
     .sev = "mild|moderate|severe",
     .trend = true,
     .find = "[There is {sev} right hydronephrosis{chg}.|{sev} hydronephrosis of the right kidney "
             "is [seen|present]{chg}.]",
     .imp = "[{sev} right hydronephrosis{chgi}.|Right hydronephrosis, {sev}{chgi}.]"},
    {.organ = RQ_FLUID,
     .acuity = 2,
     .word = "ascites",
     .sev = "small|moderate|large|trace",
     .trend = true,
     .find = "[There is {sev} volume ascites{chg}.|{sev} ascites is [seen|present]{chg}.]",
     .imp = "[{sev} ascites{chgi}.|{sev} volume ascites{chgi}.]"},
};

/* ---- kidneys */
enum { UK_RIGHT, UK_LEFT, UK_BLADDER };
static const char *const kidney_normals[] = {
    [UK_RIGHT] = "[The right kidney is normal [in size and echogenicity|without "
                 "hydronephrosis].|No right renal stone or hydronephrosis.]",
    [UK_LEFT] = "[The left kidney is normal [in size and echogenicity|without hydronephrosis].|No "
                "left renal stone or hydronephrosis.]",
    [UK_BLADDER] = "[The bladder is [normal|unremarkable].|Bilateral ureteral jets are seen.]",
};
#define KIDNEY(o, s)                                                                               \
    {.organ = (o),                                                                                 \
     .acuity = 3,                                                                                  \
     .word = s " hydronephrosis",                                                                  \
     .sev = "mild|moderate|severe",                                                                \
     .trend = true,                                                                                \
     .find = "[There is {sev} " s " hydronephrosis{chg}.|{sev} " s                                 \
             " hydronephrosis is [seen|present]{chg}.]",                                           \
     .imp = "[{sev} " s " hydronephrosis{chgi}.|" s " hydronephrosis, {sev}{chgi}.]"},             \
        {.organ = (o),                                                                             \
         .acuity = 2,                                                                              \
         .word = "calculus",                                                                       \
         .lo_mm = 3,                                                                               \
         .hi_mm = 15,                                                                              \
         .kind = "upper pole|lower pole|interpolar",                                               \
         .trend = true,                                                                            \
         .find = "[A {dim} nonobstructing calculus is in the " s                                   \
                 " {kind}{chg}.|There is a nonobstructing " s                                      \
                 " {kind} calculus measuring {dim}{chg}.]",                                        \
         .imp = "[{dim} nonobstructing " s " renal calculus{chgi}.|Nonobstructing " s              \
                " {kind} calculus, {dim}{chgi}.]"},                                                \
        {.organ = (o),                                                                             \
         .acuity = 1,                                                                              \
         .word = "cyst",                                                                           \
         .lo_mm = 7,                                                                               \
         .hi_mm = 60,                                                                              \
         .kind = "simple|septated|minimally complex",                                              \
         .find = "[There is a {size} {kind} " s " renal cyst.|A {kind} " s                         \
                 " renal cyst measures {size}.]",                                                  \
         .imp = "[{dim} {kind} " s " renal cyst.|" s " renal {kind} cyst measuring {dim}.]"},      \
    {                                                                                              \
        .organ = (o), .acuity = 2, .word = "echogenic", .lo_mm = 72, .hi_mm = 92,                  \
        .find = "[The " s " kidney is echogenic and measures {dim}.|Echogenic " s                  \
                " kidney with a length of {dim}.]",                                                \
        .imp = "[Echogenic " s                                                                     \
               " kidney, [consistent with|suggesting] medical renal disease.|Small echogenic " s   \
               " kidney.]"                                                                         \
    }
static const struct synth_lesion kidney_lesions[] = {
    KIDNEY(UK_RIGHT, "right"),
    KIDNEY(UK_LEFT, "left"),
    {.organ = UK_BLADDER,
     .acuity = 2,
     .word = "bladder",
     .sev = "mild|moderate|diffuse",
     .find = "[There is {sev} bladder wall thickening.|{sev} thickening of the bladder wall is "
             "[seen|noted].]",
     .imp = "[{sev} bladder wall thickening.|{sev} thickening of the bladder wall.]"},
};

/* ---- thyroid */
enum { TY_RIGHT, TY_LEFT, TY_ISTHMUS, TY_NODES };
static const char *const thyroid_normals[] = {
    [TY_RIGHT] = ("[The right lobe is normal [in size and echotexture|without nodule].|No "
                  "right-sided nodule.]"),
    [TY_LEFT] =
        "[The left lobe is normal [in size and echotexture|without nodule].|No left-sided nodule.]",
    [TY_ISTHMUS] = "[The isthmus is normal.|The isthmus measures 3 mm.]",
    [TY_NODES] = "[No suspicious cervical lymph nodes.|Cervical nodes are normal.|]",
};
#define THYROID(o, s)                                                                              \
    {                                                                                              \
        .organ = (o), .acuity = 2, .word = s, .lo_mm = 5, .hi_mm = 44,                             \
        .sev = "solid|mixed cystic and solid|spongiform|predominantly cystic",                     \
        .kind = "TI-RADS 2|TI-RADS 3|TI-RADS 4|TI-RADS 5", .trend = true,                          \
        .find = "[There is a {size} {sev} nodule in the " s ", {kind}{chg}.|In the " s             \
                " a {sev} nodule measures {size}, {kind}{chg}.]",                                  \
        .imp = "[{dim} {kind} nodule in the " s "{chgi}.|{kind} {sev} nodule in the " s            \
               ", {dim}{chgi}.]",                                                                  \
        .advice = "Fine needle aspiration is recommended.", .advice_mm = 25                        \
    }
static const struct synth_lesion thyroid_lesions[] = {
    THYROID(TY_RIGHT, "right lobe"),
    THYROID(TY_LEFT, "left lobe"),
    THYROID(TY_ISTHMUS, "isthmus"),
    {.organ = TY_NODES,
     .acuity = 3,
     .word = "lymph node",
     .site = "right|left",
     .lo_mm = 8,
     .hi_mm = 26,
     .kind = "level II|level III|level IV|level VI",
     .find = "[A rounded {site} {kind} lymph node measures {size} with loss of the fatty "
             "hilum.|There is a {size} abnormal {site} {kind} lymph node.]",
     .imp = "[{dim} suspicious {site} {kind} lymph node.|Suspicious {site} {kind} lymph node "
            "measuring {dim}.]",
     .advice = "Biopsy is recommended."},
};

/* ---- leg veins */
enum { DV_FEMORAL, DV_POPLITEAL, DV_CALF, DV_SOFT };
static const char *const vein_normals[] = {
    [DV_FEMORAL] =
        "[The common femoral and femoral veins are compressible with normal flow.|Normal "
        "compressibility of the femoral veins.|No thrombus in the femoral veins.]",
    [DV_POPLITEAL] = "[The popliteal vein is [patent|compressible].|Normal popliteal vein flow and "
                     "augmentation.]",
    [DV_CALF] = "[The calf veins are [patent|compressible].|Posterior tibial and peroneal veins "
                "are patent.|]",
    [DV_SOFT] = "[No popliteal fossa cyst.|]",
};
static const struct synth_lesion vein_lesions[] = {
    {.organ = DV_FEMORAL,
     .acuity = 3,
     .word = "deep vein thrombosis",
     .site = "right|left",
     .sev = "acute|chronic|subacute",
     .kind = "common femoral|femoral|profunda femoris",
     .trend = true,
     .find =
         "[The {site} {kind} vein is noncompressible, reflecting {sev} occlusive deep vein "
         "thrombosis{chg}.|There is {sev} deep vein thrombosis of the {site} {kind} vein{chg}.]",
     .imp = "[{sev} {site} {kind} deep vein thrombosis{chgi}.|{sev} deep vein thrombosis of the "
            "{site} {kind} vein{chgi}.]"},
    {.organ = DV_POPLITEAL,
     .acuity = 3,
     .word = "popliteal vein",
     .site = "right|left",
     .sev = "occlusive|nonocclusive",
     .trend = true,
     .find = "[There is {sev} thrombus in the {site} popliteal vein{chg}.|The {site} popliteal "
             "vein contains {sev} thrombus{chg}.]",
     .imp = "[{sev} {site} popliteal vein thrombosis{chgi}.|{site} popliteal vein thrombus, "
            "{sev}{chgi}.]"},
    {.organ = DV_CALF,
     .acuity = 2,
     .word = "calf",
     .site = "right|left",
     .kind = "posterior tibial|peroneal|gastrocnemius|soleal",
     .find = "[Thrombus is [seen|present] in the {site} {kind} calf vein.|There is {site} calf "
             "vein thrombus in the {kind} vein.]",
     .imp = "[{site} calf vein thrombosis, {kind}.|Isolated {site} {kind} calf vein thrombus.]",
     .advice = "Follow-up ultrasound in 1 week is recommended."},
    {.organ = DV_SOFT,
     .acuity = 1,
     .word = "Baker cyst",
     .site = "right|left",
     .lo_mm = 14,
     .hi_mm = 70,
     .find = "[A {size} {site} Baker cyst is [seen|noted].|There is a {site} Baker cyst measuring "
             "{size}.]",
     .imp = "[{dim} {site} Baker cyst.|{site} Baker cyst measuring {dim}.]"},
};

/* ---- pelvis */
enum { PE_UTERUS, PE_ENDO, PE_RIGHT, PE_LEFT, PE_FLUID };
static const char *const pelvis_normals[] = {
    [PE_UTERUS] =
        "[The uterus is normal in size [and echotexture|].|No fibroid is [seen|identified].]",
    [PE_ENDO] = "[The endometrium measures 6 mm and is normal.|Normal endometrial stripe.]",
    [PE_RIGHT] = "[The right ovary is normal with preserved flow.|Normal right ovary.]",
    [PE_LEFT] = "[The left ovary is normal with preserved flow.|Normal left ovary.]",
    [PE_FLUID] = "[No free fluid.|Trace physiologic free fluid.|]",
};
#define OVARY(o, s)                                                                                \
    {                                                                                              \
        .organ = (o), .acuity = 2, .word = s " ovarian", .lo_mm = 18, .hi_mm = 85,                 \
        .kind = "simple cyst|hemorrhagic cyst|dermoid|endometrioma", .trend = true,                \
        .find = "[There is a {size} " s " ovarian {kind}{chg}.|A " s                               \
                " ovarian {kind} measures {size}{chg}.]",                                          \
        .imp = "[{dim} " s " ovarian {kind}{chgi}.|" s " ovarian {kind} measuring {dim}{chgi}.]",  \
        .advice = "Follow-up ultrasound in 6 to 12 weeks is recommended.", .advice_mm = 50         \
    }
static const struct synth_lesion pelvis_lesions[] = {
    {.organ = PE_UTERUS,
     .acuity = 2,
     .word = "fibroid",
     .lo_mm = 10,
     .hi_mm = 90,
     .kind = "intramural|subserosal|submucosal|pedunculated",
     .sev = "anterior|posterior|fundal",
     .trend = true,
     .find = "[There is a {size} {sev} {kind} fibroid{chg}.|A {sev} {kind} fibroid measures "
             "{size}{chg}.]",
     .imp = "[{dim} {sev} {kind} fibroid{chgi}.|{kind} fibroid measuring {dim}{chgi}.]"},
    {.organ = PE_ENDO,
     .acuity = 2,
     .word = "endometri",
     .lo_mm = 12,
     .hi_mm = 28,
     .sev = "heterogeneous|echogenic|cystic",
     .find = "[The endometrium is thickened to {dim} and {sev}.|{sev} endometrial thickening "
             "measures {dim}.]",
     .imp = "[Endometrial thickening to {dim}.|{sev} thickened endometrium measuring {dim}.]",
     .advice = "Gynecologic referral is recommended."},
    OVARY(PE_RIGHT, "right"),
    OVARY(PE_LEFT, "left"),
    {.organ = PE_FLUID,
     .acuity = 2,
     .word = "free fluid",
     .sev = "small|moderate|large",
     .find = "[There is a {sev} amount of pelvic free fluid.|{sev} volume free fluid is "
             "[seen|present].]",
     .imp = "[{sev} pelvic free fluid.|{sev} volume of free fluid.]"},
};

const struct synth_exam synth_exams_us[] = {
    {.modality = "US",
     .description = "US ABDOMEN LIMITED|US RIGHT UPPER QUADRANT|Ultrasound gallbladder",
     .technique = "Grayscale and color Doppler sonography of the right upper quadrant",
     .clinical = "right upper quadrant pain|elevated liver enzymes|nausea|jaundice|abdominal pain",
     .normals = SYNTH_TABLE(rq_normals),
     .lesions = SYNTH_TABLE(rq_lesions),
     .none = "[Normal right upper quadrant ultrasound.|No cholelithiasis or biliary "
             "dilatation.|Normal limited abdominal ultrasound.]",
     .acute = "No acute cholecystitis.",
     .weight = 30},
    {.modality = "US",
     .description = "US RENAL|US KIDNEYS AND BLADDER|Renal ultrasound",
     .technique = "Sonographic images of the kidneys and bladder",
     .clinical = "acute kidney injury|hematuria|flank pain|elevated creatinine|recurrent urinary "
                 "tract infection",
     .normals = SYNTH_TABLE(kidney_normals),
     .lesions = SYNTH_TABLE(kidney_lesions),
     .none = "[Normal renal ultrasound.|No hydronephrosis.|No hydronephrosis or renal calculus.]",
     .acute = "No hydronephrosis.",
     .weight = 25},
    {.modality = "US",
     .description = "US THYROID|Thyroid ultrasound|US SOFT TISSUE NECK THYROID",
     .technique = "High-resolution sonography of the thyroid gland",
     .clinical = "thyroid nodule|goiter|hyperthyroidism|palpable neck mass",
     .normals = SYNTH_TABLE(thyroid_normals),
     .lesions = SYNTH_TABLE(thyroid_lesions),
     .none = "[Normal thyroid ultrasound.|No thyroid nodule.]",
     .acute = "No suspicious nodule.",
     .weight = 20},
    {.modality = "US",
     .description = "US VENOUS DOPPLER LOWER EXTREMITY|US DUPLEX LEG VEINS|DVT study",
     .technique =
         "Grayscale, color and spectral Doppler of the lower extremity veins with compression",
     .clinical = "leg swelling|calf pain|elevated d-dimer|leg edema",
     .normals = SYNTH_TABLE(vein_normals),
     .lesions = SYNTH_TABLE(vein_lesions),
     .none = "[No deep vein thrombosis.|No evidence of deep vein thrombosis.|No lower extremity "
             "deep vein thrombosis.]",
     .acute = "No deep vein thrombosis.",
     .weight = 25},
    {.modality = "US",
     .description = "US PELVIS TRANSVAGINAL|US PELVIC COMPLETE|Pelvic ultrasound",
     .technique = "Transabdominal and transvaginal sonography of the pelvis",
     .clinical = "pelvic pain|abnormal uterine bleeding|ovarian cyst|fibroids",
     .normals = SYNTH_TABLE(pelvis_normals),
     .lesions = SYNTH_TABLE(pelvis_lesions),
     .none = "[Normal pelvic ultrasound.|No acute pelvic abnormality.|No adnexal mass.]",
     .acute = "No acute pelvic abnormality.",
     .weight = 20},
};
const size_t synth_exams_us_n = sizeof synth_exams_us / sizeof *synth_exams_us;
