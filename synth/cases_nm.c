/* Nuclear medicine, PET, mammography, fluoroscopy: the rare ones. */
#include "synth/cases.h"

/* ---- bone scan */
enum { BS_AXIAL, BS_RIBS, BS_LIMBS, BS_KIDNEYS };
static const char *const bone_normals[] = {
    [BS_AXIAL] = "[No abnormal uptake in the [axial skeleton|spine and pelvis].|The axial skeleton "
                 "is normal.|Degenerative uptake in the lumbar spine.]",
    [BS_RIBS] = "[No abnormal rib uptake.|The ribs and sternum are normal.]",
    [BS_LIMBS] = "[Uptake about the shoulders and knees is degenerative.|No abnormal uptake in the "
                 "extremities.]",
    [BS_KIDNEYS] = "[Both kidneys are visualized.|Physiologic renal and bladder activity.|]",
};
static const struct synth_lesion bone_lesions[] = {
    {.organ = BS_AXIAL,
     .acuity = 3,
     .word = "osseous metasta",
     .sev = "multiple|several|numerous|widespread",
     .kind = "thoracic and lumbar spine|pelvis|spine and sacrum",
     .trend = true,
     .find = "[{sev} foci of intense uptake in the {kind} are consistent with osseous "
             "metastases{chg}.|There are {sev} tracer-avid osseous metastases in the {kind}{chg}.]",
     .imp = "[{sev} osseous metastases in the {kind}{chgi}.|Osseous metastatic disease, "
            "{kind}{chgi}.]"},
    {.organ = BS_RIBS,
     .acuity = 2,
     .word = "rib",
     .site = "right|left",
     .kind = "fourth|fifth|sixth|seventh|eighth",
     .sev = "focal|linear|intense",
     .find = "[{sev} uptake in the {site} {kind} rib is likely posttraumatic.|There is {sev} "
             "uptake in the {site} {kind} rib, likely a healing fracture.]",
     .imp = "[{site} {kind} rib uptake, likely healing fracture.|Likely healing {site} {kind} rib "
            "fracture.]"},
    {.organ = BS_LIMBS,
     .acuity = 2,
     .word = "uptake",
     .site = "right|left",
     .kind = "proximal femur|tibial shaft|humeral head|distal femur",
     .sev = "focal|intense|mild",
     .find = "[There is {sev} uptake in the {site} {kind}.|The {site} {kind} shows {sev} uptake.]",
     .imp = "[{sev} {site} {kind} uptake.|{sev} uptake in the {site} {kind}.]",
     .advice = "Radiographs are recommended for correlation."},
    {.organ = BS_KIDNEYS,
     .acuity = 1,
     .word = "kidney",
     .site = "right|left",
     .find = "[The {site} kidney is not visualized.|There is an absent {site} kidney.]",
     .imp = "[Nonvisualized {site} kidney.|Absent {site} kidney.]"},
};

/* ---- ventilation and perfusion */
enum { VQ_PERFUSION, VQ_VENT, VQ_FILM };
static const char *const vq_normals[] = {
    [VQ_PERFUSION] = ("[Perfusion images show no defects.|Perfusion is homogeneous.|No segmental "
                      "perfusion defect.]"),
    [VQ_VENT] = "[Ventilation images are normal.|Ventilation is homogeneous.]",
    [VQ_FILM] = "[The chest radiograph is clear.|Correlative radiograph shows no consolidation.|]",
};
static const struct synth_lesion vq_lesions[] = {
    {.organ = VQ_PERFUSION,
     .acuity = 3,
     .word = "mismatched",
     .sev = "multiple|two|several",
     .site = "right|left|bilateral",
     .kind = "lower lobe|upper lobe",
     .find = "[There are {sev} {site} {kind} mismatched perfusion defects.|{sev} mismatched "
             "segmental defects are [seen|present] in the {site} {kind}.]",
     .imp = "[High probability for pulmonary embolism with {sev} mismatched {site} {kind} "
            "defects.|{sev} mismatched {site} {kind} defects, high probability for pulmonary "
            "embolism.]"},
    {.organ = VQ_VENT,
     .acuity = 2,
     .word = "matched",
     .sev = "mild|moderate|extensive",
     .find = "[There are {sev} matched ventilation abnormalities [suggesting airways "
             "disease|].|{sev} matched defects on ventilation images.]",
     .imp = "[{sev} matched defects, low probability for pulmonary embolism.|Low probability for "
            "pulmonary embolism with {sev} matched defects.]"},
};

/* ---- PET */
enum { PT_NECK, PT_CHEST, PT_ABDOMEN, PT_BONE };
static const char *const pet_normals[] = {
    [PT_NECK] =
        "[Physiologic uptake in the neck.|No FDG-avid cervical lymph nodes.|The neck is normal.]",
    [PT_CHEST] = "[No FDG-avid pulmonary nodule or thoracic node.|No abnormal uptake in the "
                 "chest.|The chest shows no hypermetabolic lesion.]",
    [PT_ABDOMEN] = "[Physiologic uptake in the abdomen and pelvis.|No hypermetabolic abdominal "
                   "lesion.|Liver and spleen are normal.]",
    [PT_BONE] = "[No FDG-avid osseous lesion.|Marrow uptake is normal.|]",
};
static const struct synth_lesion pet_lesions[] = {
    {.organ = PT_CHEST,
     .acuity = 3,
     .word = "FDG-avid",
     .lo_mm = 9,
     .hi_mm = 62,
     .sev = "4.2|6.8|9.1|12.5|15.3",
     .site = "right upper lobe|left upper lobe|right lower lobe|left lower lobe",
     .trend = true,
     .find = "[A {size} FDG-avid {site} nodule has a maximum SUV of {sev}{chg}.|In the {site} an "
             "FDG-avid lesion measures {size}, SUV {sev}{chg}.]",
     .imp = "[{dim} FDG-avid {site} lesion, SUV {sev}{chgi}.|FDG-avid {site} lesion measuring "
            "{dim}{chgi}.]"},
    {.organ = PT_NECK,
     .acuity = 2,
     .word = "cervical",
     .site = "right|left",
     .lo_mm = 8,
     .hi_mm = 30,
     .sev = "3.9|5.5|7.4|10.2",
     .trend = true,
     .find = "[Hypermetabolic {site} cervical nodes measure up to {dim}, SUV {sev}{chg}.|There are "
             "{site} cervical hypermetabolic nodes up to {dim}{chg}.]",
     .imp = "[Hypermetabolic {site} cervical nodes up to {dim}{chgi}.|{site} cervical nodal "
            "metastases{chgi}.]"},
    {.organ = PT_ABDOMEN,
     .acuity = 2,
     .word = "hepatic",
     .lo_mm = 9,
     .hi_mm = 50,
     .sev = "multiple|several|two",
     .trend = true,
     .find = "[{sev} hypermetabolic hepatic lesions measure up to {dim}{chg}.|There are {sev} "
             "FDG-avid hepatic lesions up to {dim}{chg}.]",
     .imp = "[{sev} hepatic metastases up to {dim}{chgi}.|Hypermetabolic hepatic lesions up to "
            "{dim}{chgi}.]"},
    {.organ = PT_BONE,
     .acuity = 2,
     .word = "osseous",
     .sev = "multiple|several|a few|scattered",
     .kind = "spine|pelvis|ribs|spine and pelvis",
     .trend = true,
     .find = "[{sev} hypermetabolic osseous lesions are [seen|present] in the {kind}{chg}.|There "
             "are {sev} FDG-avid osseous lesions of the {kind}{chg}.]",
     .imp = "[{sev} osseous metastases in the {kind}{chgi}.|Osseous metastases, {kind}{chgi}.]"},
};

/* ---- mammography */
enum { MG_DENSITY, MG_RIGHT, MG_LEFT };
static const char *const breast_normals[] = {
    [MG_DENSITY] = ("[The breasts are heterogeneously dense.|There are scattered areas of "
                    "fibroglandular density.|The breasts are almost entirely fatty.]"),
    [MG_RIGHT] =
        "[No suspicious mass or calcification in the right breast.|The right breast is normal.]",
    [MG_LEFT] =
        "[No suspicious mass or calcification in the left breast.|The left breast is normal.]",
};
#define BREAST(o, s)                                                                               \
    {.organ = (o),                                                                                 \
     .acuity = 3,                                                                                  \
     .word = s " breast",                                                                          \
     .lo_mm = 5,                                                                                   \
     .hi_mm = 34,                                                                                  \
     .sev = "irregular|spiculated|oval|lobulated",                                                 \
     .kind = "upper outer quadrant|upper inner quadrant|lower outer quadrant|retroareolar region", \
     .trend = true,                                                                                \
     .find = "[There is a {dim} {sev} mass in the " s " breast, {kind}{chg}.|A {sev} " s           \
             " breast mass in the {kind} measures {dim}{chg}.]",                                   \
     .imp = "[{dim} {sev} " s " breast mass, {kind}{chgi}. BI-RADS 0.|" s                          \
            " breast {sev} mass measuring {dim}{chgi}. BI-RADS 0.]",                               \
     .advice = "Diagnostic views and ultrasound are recommended."},                                \
    {                                                                                              \
        .organ = (o), .acuity = 3, .word = "calcifications",                                       \
        .sev = "pleomorphic|grouped amorphous|fine linear",                                        \
        .kind = "upper outer quadrant|upper inner quadrant|lower inner quadrant",                  \
        .find =                                                                                    \
            "[There are {sev} calcifications in the " s                                            \
            " breast, {kind}.|{sev} calcifications are [seen|noted] in the " s " breast {kind}.]", \
        .imp = "[{sev} calcifications in the " s " breast. BI-RADS 0.|" s                          \
               " breast {sev} calcifications, {kind}. BI-RADS 0.]",                                \
        .advice = "Magnification views are recommended."                                           \
    }
static const struct synth_lesion breast_lesions[] = {
    BREAST(MG_RIGHT, "right"),
    BREAST(MG_LEFT, "left"),
};

/* ---- swallow and upper series */
enum { SW_ESOPHAGUS, SW_REFLUX, SW_HERNIA, SW_STOMACH };
static const char *const swallow_normals[] = {
    [SW_ESOPHAGUS] = ("[The esophagus is normal in caliber and motility.|No stricture or mass of "
                      "the esophagus.|Normal esophageal peristalsis.]"),
    [SW_REFLUX] = "[No gastroesophageal reflux was elicited.|No spontaneous reflux.]",
    [SW_HERNIA] = "[No hiatal hernia.|The gastroesophageal junction is normally located.]",
    [SW_STOMACH] = "[The stomach and duodenum are normal.|No gastric ulcer or mass.|]",
};
static const struct synth_lesion swallow_lesions[] = {
    {.organ = SW_ESOPHAGUS,
     .acuity = 3,
     .word = "stricture",
     .sev = "mild|moderate|severe|smooth",
     .kind = "distal|mid|proximal",
     .lo_mm = 8,
     .hi_mm = 40,
     .trend = true,
     .find = "[There is a {sev} {kind} esophageal stricture {dim} in length{chg}.|A {sev} "
             "stricture of the {kind} esophagus measures {dim}{chg}.]",
     .imp = "[{sev} {kind} esophageal stricture{chgi}.|{kind} esophageal stricture, {sev}, "
            "{dim}{chgi}.]",
     .advice = "Endoscopy is recommended."},
    {.organ = SW_ESOPHAGUS,
     .acuity = 2,
     .word = "dysmotility",
     .sev = "mild|moderate|severe",
     .find = "[There is {sev} esophageal dysmotility with tertiary contractions.|{sev} dysmotility "
             "of the esophagus is [seen|noted].]",
     .imp = "[{sev} esophageal dysmotility.|Esophageal dysmotility, {sev}.]"},
    {.organ = SW_REFLUX,
     .acuity = 2,
     .word = "reflux",
     .sev = "mild|moderate|marked|spontaneous",
     .kind = "lower|mid|upper",
     .find = "[There is {sev} gastroesophageal reflux to the {kind} esophagus.|{sev} reflux "
             "reaches the {kind} esophagus.]",
     .imp = "[{sev} gastroesophageal reflux.|{sev} reflux to the {kind} esophagus.]"},
    {.organ = SW_HERNIA,
     .acuity = 1,
     .word = "hiatal hernia",
     .sev = "small|moderate|large",
     .kind = "sliding|paraesophageal|mixed",
     .find =
         "[There is a {sev} {kind} hiatal hernia.|A {sev} {kind} hiatal hernia is [seen|noted].]",
     .imp = "[{sev} {kind} hiatal hernia.|{kind} hiatal hernia, {sev}.]"},
    {.organ = SW_STOMACH,
     .acuity = 3,
     .word = "ulcer",
     .lo_mm = 5,
     .hi_mm = 22,
     .kind = "antral|lesser curvature|duodenal bulb|pyloric channel",
     .find = "[There is a {dim} {kind} ulcer.|A {kind} ulcer crater measures {dim}.]",
     .imp = "[{dim} {kind} ulcer.|{kind} ulcer measuring {dim}.]",
     .advice = "Endoscopy is recommended."},
};

const struct synth_exam synth_exams_nm[] = {
    {.modality = "NM",
     .description = "NM BONE SCAN WHOLE BODY|Whole body bone scintigraphy",
     .technique = "Whole body planar images three hours after Tc-99m MDP",
     .clinical = "prostate cancer|breast cancer|bone pain|elevated alkaline phosphatase",
     .normals = SYNTH_TABLE(bone_normals),
     .lesions = SYNTH_TABLE(bone_lesions),
     .none = "[No scintigraphic evidence of osseous metastases.|Normal bone scan.]",
     .acute = "No osseous metastases.",
     .weight = 14},
    {.modality = "NM",
     .description = "NM LUNG VENTILATION PERFUSION|VQ SCAN",
     .technique = "Planar ventilation and perfusion images with Tc-99m MAA",
     .clinical = "shortness of breath|chest pain|elevated d-dimer with renal failure",
     .normals = SYNTH_TABLE(vq_normals),
     .lesions = SYNTH_TABLE(vq_lesions),
     .none = "[Normal ventilation perfusion scan.|No evidence of pulmonary embolism.]",
     .acute = "Low probability for pulmonary embolism.",
     .weight = 8},
    {.modality = "PT",
     .description = "PET CT SKULL BASE TO MID THIGH|FDG PET/CT RESTAGING",
     .technique = "PET and low-dose CT one hour after intravenous F-18 FDG",
     .clinical = "lung cancer restaging|lymphoma|solitary pulmonary nodule|head and neck cancer",
     .normals = SYNTH_TABLE(pet_normals),
     .lesions = SYNTH_TABLE(pet_lesions),
     .none = "[No FDG-avid malignancy.|No evidence of hypermetabolic disease.]",
     .acute = "No FDG-avid malignancy.",
     .weight = 14},
    {.modality = "MG",
     .description = "MG SCREENING BILATERAL|MAMMOGRAM SCREENING DIGITAL",
     .technique = "Digital CC and MLO views of both breasts with tomosynthesis",
     .clinical = "screening|family history of breast cancer|annual screening",
     .normals = SYNTH_TABLE(breast_normals),
     .lesions = SYNTH_TABLE(breast_lesions),
     .none = "[No mammographic evidence of malignancy. BI-RADS 1.|Negative screening mammogram. "
             "BI-RADS 1.]",
     .acute = "No evidence of malignancy.",
     .weight = 20},
    {.modality = "RF",
     .description = "FL ESOPHAGRAM|RF UPPER GI SERIES|FL BARIUM SWALLOW",
     .technique = "Double-contrast fluoroscopic examination with barium",
     .clinical = "dysphagia|reflux|odynophagia|epigastric pain",
     .normals = SYNTH_TABLE(swallow_normals),
     .lesions = SYNTH_TABLE(swallow_lesions),
     .none = "[Normal esophagram.|No esophageal stricture or reflux.]",
     .acute = "No obstruction.",
     .weight = 10},
};
const size_t synth_exams_nm_n = sizeof synth_exams_nm / sizeof *synth_exams_nm;
