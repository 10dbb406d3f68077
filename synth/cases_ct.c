#include "synth/cases.h"

/* ---- head */
enum { HD_BLEED, HD_ISCHEMIA, HD_VENTRICLES, HD_MASS, HD_WHITE, HD_SINUS, HD_SKULL };
static const char *const head_normals[] = {
    [HD_BLEED] =
        "[There is no [evidence of |][acute |]intracranial hemorrhage.|No [acute |]hemorrhage or "
        "extra-axial collection.|No extra-axial fluid collection or hemorrhage is "
        "[seen|identified].]",
    [HD_ISCHEMIA] =
        "[Gray-white matter differentiation is [preserved|maintained].|No CT evidence of acute "
        "territorial infarction.|There is no loss of gray-white differentiation.]",
    [HD_VENTRICLES] =
        "[The ventricles [and sulci |]are [normal in size and configuration|age-appropriate].|No "
        "hydrocephalus.|Ventricles and sulci are normal for age.]",
    [HD_MASS] = "[No mass effect or midline shift.|There is no mass effect.|The basal cisterns are "
                "patent.]",
    [HD_WHITE] =
        "[No focal parenchymal abnormality.|Minimal periventricular hypodensity is nonspecific.|]",
    [HD_SINUS] = "[The [visualized |]paranasal sinuses and mastoid air cells are clear.|Paranasal "
                 "sinuses are "
                 "[clear|well aerated].|]",
    [HD_SKULL] = "[No [calvarial |skull |]fracture.|The calvarium is intact.|]",
};
static const struct synth_lesion head_lesions[] = {
    {.organ = HD_BLEED,
     .acuity = 3,
     .word = "subdural",
     .site = "right|left",
     .lo_mm = 4,
     .hi_mm = 22,
     .kind = "acute|subacute|chronic|mixed-density",
     .sev = "frontal|parietal|frontoparietal|temporal|hemispheric",
     .trend = true,
     .find = "[There is a {site} {sev} {kind} subdural hematoma measuring up to {dim} in "
             "thickness{chg}.|A {kind} "
             "{site} {sev} subdural collection measures {dim}{chg}.|Along the {site} {sev} "
             "convexity there is a "
             "{kind} subdural hematoma, {dim} thick{chg}.]",
     .imp = "[{kind} {site} subdural hematoma measuring {dim}{chgi}.|{site} {sev} {kind} subdural "
            "hematoma, "
            "{dim}{chgi}.]",
     .advice = "Neurosurgical consultation is recommended.",
     .advice_mm = 10},
    {.organ = HD_BLEED,
     .acuity = 3,
     .word = "subarachnoid",
     .site = "right|left",
     .sev = "small|trace|moderate|diffuse",
     .kind = "sylvian fissure|frontal sulci|parietal sulci|basal cisterns",
     .trend = true,
     .find = "[There is {sev} subarachnoid hemorrhage in the {site} {kind}{chg}.|{sev} "
             "subarachnoid blood is [seen|"
             "present] in the {site} {kind}{chg}.]",
     .imp = "[{sev} {site} subarachnoid hemorrhage{chgi}.|{sev} subarachnoid hemorrhage in the "
            "{site} {kind}{chgi}.]"},
    {.organ = HD_BLEED,
     .acuity = 3,
     .word = "hemorrhage",
     .site = "right|left",
     .lo_mm = 8,
     .hi_mm = 55,
     .kind = "basal ganglia|thalamic|frontal lobe|parietal lobe|cerebellar|temporal lobe",
     .trend = true,
     .find = "[There is a {site} {kind} intraparenchymal hemorrhage measuring {size} with "
             "[mild|moderate] surrounding "
             "edema{chg}.|A {size} {site} {kind} hemorrhage is [seen|present]{chg}.]",
     .imp = "[{site} {kind} hemorrhage measuring {dim}{chgi}.|{dim} {site} {kind} intraparenchymal "
            "hemorrhage{chgi}.]",
     .advice = "Findings were discussed with the referring team by telephone."},
    {.organ = HD_ISCHEMIA,
     .acuity = 3,
     .word = "infarct",
     .site = "right|left",
     .kind = "middle cerebral artery territory|posterior cerebral artery "
             "territory|cerebellar|anterior cerebral artery territory",
     .sev = "acute|subacute|evolving",
     .trend = true,
     .find = "[There is loss of gray-white differentiation in keeping with {sev} {site} {kind} "
             "infarct{chg}.|"
             "Hypodensity [reflects|is consistent with] a {sev} {site} {kind} infarct{chg}.]",
     .imp = "[{sev} {site} {kind} infarct{chgi}.|{site} {kind} {sev} infarction{chgi}.]",
     .advice = "MRI with diffusion may be considered."},
    {.organ = HD_ISCHEMIA,
     .acuity = 1,
     .word = "lacunar infarct",
     .site = "right|left",
     .kind = "thalamus|caudate head|corona radiata|lentiform nucleus",
     .find = "[There is a chronic lacunar infarct in the {site} {kind}.|Old lacunar infarct of the "
             "{site} {kind} is [noted|seen].]",
     .imp = "[Chronic lacunar infarct in the {site} {kind}.|Old {site} {kind} lacunar infarct.]"},
    {.organ = HD_VENTRICLES,
     .acuity = 3,
     .word = "hydrocephalus",
     .sev = "mild|moderate|severe",
     .trend = true,
     .kind = "communicating|obstructive",
     .find = "[There is {sev} {kind} hydrocephalus{chg}.|Ventricular enlargement out of proportion "
             "to the sulci reflects "
             "{sev} {kind} hydrocephalus{chg}.]",
     .imp = "[{sev} {kind} hydrocephalus{chgi}.|Hydrocephalus, {sev} and {kind}{chgi}.]"},
    {.organ = HD_VENTRICLES,
     .acuity = 1,
     .word = "volume loss",
     .sev = "mild|moderate|advanced",
     .find = "[There is {sev} global parenchymal volume loss.|Prominent ventricles and sulci "
             "reflect {sev} volume loss.]",
     .imp = "[{sev} parenchymal volume loss.|{sev} global volume loss.]"},
    {.organ = HD_MASS,
     .acuity = 3,
     .word = "midline shift",
     .site = "rightward|leftward",
     .lo_mm = 3,
     .hi_mm = 14,
     .trend = true,
     .find =
         "[There is {dim} of {site} midline shift{chg}.|{site} midline shift measures {dim}{chg}.]",
     .imp = "[{dim} {site} midline shift{chgi}.|{site} midline shift of {dim}{chgi}.]"},
    {.organ = HD_MASS,
     .acuity = 3,
     .word = "mass",
     .site = "right|left",
     .lo_mm = 12,
     .hi_mm = 60,
     .kind = "frontal|parietal|temporal|cerebellar|occipital",
     .trend = true,
     .find = "[There is a {size} {site} {kind} mass with vasogenic edema{chg}.|A {site} {kind} "
             "mass measures {size} with "
             "[surrounding|adjacent] edema{chg}.]",
     .imp =
         "[{dim} {site} {kind} mass with edema{chgi}.|{site} {kind} mass measuring {dim}{chgi}.]",
     .advice = "Contrast-enhanced MRI is recommended."},
    {.organ = HD_WHITE,
     .acuity = 1,
     .word = "small vessel",
     .sev = "mild|moderate|extensive",
     .trend = true,
     .find = "[Periventricular and subcortical hypodensities reflect {sev} chronic small vessel "
             "ischemic disease{chg}.|There "
             "is {sev} chronic small vessel ischemic change{chg}.]",
     .imp = "[{sev} chronic small vessel ischemic disease{chgi}.|Chronic small vessel disease, "
            "{sev}{chgi}.]"},
    {.organ = HD_SINUS,
     .acuity = 1,
     .word = "sinus",
     .site = "right|left|bilateral",
     .kind = "maxillary|ethmoid|sphenoid|frontal",
     .sev = "mild|moderate",
     .find = "[There is {sev} {site} {kind} sinus mucosal thickening.|{sev} mucosal thickening of "
             "the {site} {kind} sinus.]",
     .imp = "[{sev} {site} {kind} sinus disease.|{site} {kind} sinus mucosal thickening.]"},
    {.organ = HD_SKULL,
     .acuity = 3,
     .word = "fracture",
     .site = "right|left",
     .kind = "temporal bone|frontal bone|parietal bone|occipital bone",
     .sev = "nondisplaced|minimally depressed|linear",
     .find = "[There is a {sev} {site} {kind} fracture.|A {sev} fracture of the {site} {kind} is "
             "[seen|identified].]",
     .imp = "[{sev} {site} {kind} fracture.|{site} {kind} fracture, {sev}.]"},
};

/* ---- chest, pulmonary angiography */
enum { TH_EMBOLI, TH_LUNGS, TH_PLEURA, TH_NODES, TH_HEART, TH_BONES, TH_UPPER };
#define LOBES                                                                                      \
    "right upper lobe|right middle lobe|right lower lobe|left upper lobe|left lower lobe|lingula"
static const char *const thorax_normals[] = {
    [TH_EMBOLI] =
        "[No [filling defect|pulmonary embolism] is [seen|identified] to the "
        "[segmental|subsegmental] level.|There is no "
        "pulmonary embolism.|The pulmonary arteries are [well opacified and patent|patent].]",
    [TH_LUNGS] = "[The lungs are clear.|No focal consolidation or suspicious nodule.|The airways "
                 "are patent and the lungs are "
                 "clear.|Minimal dependent atelectasis is noted.]",
    [TH_PLEURA] = "[No pleural effusion or pneumothorax.|There is no pleural effusion.|The pleural "
                  "spaces are clear.]",
    [TH_NODES] = "[No [enlarged |]mediastinal, hilar or axillary lymph nodes.|There is no thoracic "
                 "lymphadenopathy.|No pathologically "
                 "enlarged lymph nodes.]",
    [TH_HEART] = "[The heart is normal in size [without pericardial effusion|].|No pericardial "
                 "effusion.|Heart and great vessels are "
                 "[normal|unremarkable].]",
    [TH_BONES] = "[No suspicious osseous lesion.|No acute osseous abnormality.|Degenerative "
                 "changes of the spine are noted.]",
    [TH_UPPER] = "[The imaged upper abdomen is unremarkable.|Limited views of the upper abdomen "
                 "are [normal|unremarkable].|]",
};
#define THORAX_LUNG_LESIONS                                                                        \
    {.organ = TH_LUNGS,                                                                            \
     .acuity = 2,                                                                                  \
     .word = "nodule",                                                                             \
     .site = LOBES,                                                                                \
     .lo_mm = 3,                                                                                   \
     .hi_mm = 28,                                                                                  \
     .sev = "solid|ground-glass|part-solid|spiculated",                                            \
     .trend = true,                                                                                \
     .find = "[There is a {size} {sev} nodule in the {site}{chg}.|A {sev} {site} pulmonary "       \
             "nodule measures {size}{chg}.|In the {site} "                                         \
             "there is a {sev} nodule of {size}{chg}.]",                                           \
     .imp = "[{dim} {sev} {site} pulmonary nodule{chgi}.|{site} {sev} nodule measuring "           \
            "{dim}{chgi}.]",                                                                       \
     .advice =                                                                                     \
         "[Follow-up chest CT in 3 months is recommended.|Recommend follow-up CT in 3 months.]",   \
     .advice_mm = 8},                                                                              \
        {.organ = TH_LUNGS,                                                                        \
         .acuity = 3,                                                                              \
         .word = "consolidation",                                                                  \
         .site = LOBES,                                                                            \
         .sev = "dense|patchy|multifocal|confluent",                                               \
         .trend = true,                                                                            \
         .find = "[There is {sev} consolidation in the {site}{chg}.|{sev} consolidation with air " \
                 "bronchograms [involves|occupies] the "                                           \
                 "{site}{chg}.]",                                                                  \
         .imp = "[{site} consolidation, [consistent with|suspicious for] pneumonia{chgi}.|{sev} "  \
                "{site} consolidation{chgi}.]"},                                                   \
        {.organ = TH_LUNGS,                                                                        \
         .acuity = 1,                                                                              \
         .word = "emphysema",                                                                      \
         .sev = "mild|moderate|severe",                                                            \
         .kind = "centrilobular|paraseptal|upper lobe predominant",                                \
         .find = "[There is {sev} {kind} emphysema.|{sev} {kind} emphysema is [seen|noted].]",     \
         .imp = "[{sev} {kind} emphysema.|Emphysema, {sev}, {kind}.]"},                            \
        {.organ = TH_LUNGS,                                                                        \
         .acuity = 2,                                                                              \
         .word = "fibrosis",                                                                       \
         .sev = "mild|moderate|severe",                                                            \
         .kind = "basilar|subpleural|peripheral",                                                  \
         .trend = true,                                                                            \
         .find = "[There is {sev} {kind} fibrosis with traction bronchiectasis [and "              \
                 "honeycombing|]{chg}.|{kind} reticulation and "                                   \
                 "bronchiectasis reflect {sev} fibrosis{chg}.]",                                   \
         .imp = "[{sev} {kind} pulmonary fibrosis{chgi}.|Pulmonary fibrosis, {sev} and "           \
                "{kind}{chgi}.]"},                                                                 \
        {.organ = TH_PLEURA,                                                                       \
         .acuity = 3,                                                                              \
         .word = "effusion",                                                                       \
         .site = "right|left",                                                                     \
         .sev = "small|moderate|large|loculated",                                                  \
         .trend = true,                                                                            \
         .find = "[There is a {sev} {site} pleural effusion{chg}.|A {sev} {site} pleural "         \
                 "effusion with adjacent atelectasis is [seen|present]{chg}.]",                    \
         .imp = "[{sev} {site} pleural effusion{chgi}.|{site} pleural effusion, {sev}{chgi}.]"},   \
        {.organ = TH_NODES,                                                                        \
         .acuity = 2,                                                                              \
         .word = "lymph",                                                                          \
         .lo_mm = 11,                                                                              \
         .hi_mm = 34,                                                                              \
         .kind = "mediastinal|right hilar|left hilar|subcarinal|axillary",                         \
         .trend = true,                                                                            \
         .find = "[An enlarged {kind} lymph node measures {size}{chg}.|There is {kind} "           \
                 "lymphadenopathy with nodes up to {dim}{chg}.]",                                  \
         .imp = "[{kind} lymphadenopathy measuring up to {dim}{chgi}.|Enlarged {kind} lymph "      \
                "nodes, up to {dim}{chgi}.]"},                                                     \
        {.organ = TH_HEART,                                                                        \
         .acuity = 1,                                                                              \
         .word = "coronary",                                                                       \
         .sev = "mild|moderate|severe|extensive",                                                  \
         .find = "[There are {sev} coronary artery calcifications.|{sev} coronary calcification "  \
                 "is [noted|seen].]",                                                              \
         .imp = "[{sev} coronary artery calcification.|Coronary artery disease, {sev}.]"},         \
        {.organ = TH_HEART,                                                                        \
         .acuity = 2,                                                                              \
         .word = "pericardial effusion",                                                           \
         .sev = "small|moderate|large",                                                            \
         .trend = true,                                                                            \
         .find = "[There is a {sev} pericardial effusion{chg}.|A {sev} pericardial effusion is "   \
                 "[seen|present]{chg}.]",                                                          \
         .imp = "[{sev} pericardial effusion{chgi}.|Pericardial effusion, {sev}{chgi}.]"},         \
        {.organ = TH_BONES,                                                                        \
         .acuity = 2,                                                                              \
         .word = "lytic",                                                                          \
         .kind = "right scapula|left scapula|T5 vertebral body|T9 vertebral body|sternum|left "    \
                 "sixth rib",                                                                      \
         .lo_mm = 8,                                                                               \
         .hi_mm = 30,                                                                              \
         .find = "[A lytic lesion in the {kind} measures {dim}.|There is a {dim} lytic lesion in " \
                 "the {kind}.]",                                                                   \
         .imp = "[Lytic lesion in the {kind}, [suspicious for|concerning for] metastasis.|{dim} "  \
                "lytic lesion of the {kind}.]"},                                                   \
    {                                                                                              \
        .organ = TH_UPPER, .acuity = 1, .word = "adrenal", .site = "right|left", .lo_mm = 9,       \
        .hi_mm = 30,                                                                               \
        .find = "[A {size} {site} adrenal nodule is [seen|noted].|There is a {site} adrenal "      \
                "nodule measuring {size}.]",                                                       \
        .imp = "[{dim} {site} adrenal nodule.|{site} adrenal nodule measuring {dim}.]"             \
    }
static const struct synth_lesion thorax_lesions[] = {
    THORAX_LUNG_LESIONS,
};
static const struct synth_lesion embolus_lesions[] = {
    {.organ = TH_EMBOLI,
     .acuity = 3,
     .word = "pulmonary embol",
     .site = "right|left",
     .sev = "acute|subacute|chronic",
     .trend = true,
     .kind = "main pulmonary artery|lower lobe pulmonary artery|upper lobe segmental "
             "branches|lower lobe segmental branches",
     .find =
         "[There is a {sev} pulmonary embolus in the {site} {kind}{chg}.|A filling defect in the "
         "{site} {kind} is consistent with "
         "{sev} pulmonary embolism{chg}.|{sev} pulmonary emboli involve the {site} {kind}{chg}.]",
     .imp = "[{sev} pulmonary embolism in the {site} {kind}{chgi}.|{sev} pulmonary emboli, {site} "
            "{kind}{chgi}.]",
     .advice = "Findings were discussed with the referring team by telephone."},
    {.organ = TH_EMBOLI,
     .acuity = 3,
     .word = "pulmonary embol",
     .sev = "mild|moderate|marked",
     .trend = true,
     .find = "[Saddle pulmonary embolism is present with {sev} right heart strain{chg}.|There is a "
             "saddle pulmonary embolus with {sev} "
             "right ventricular enlargement indicating strain{chg}.]",
     .imp = "[Saddle pulmonary embolism with {sev} right heart strain{chgi}.|Saddle pulmonary "
            "embolus and {sev} right heart strain{chgi}.]"},
    THORAX_LUNG_LESIONS,
};

/* ---- abdomen and pelvis */
enum {
    BE_LIVER,
    BE_BILIARY,
    BE_PANCREAS,
    BE_SPLEEN,
    BE_ADRENALS,
    BE_KIDNEYS,
    BE_BOWEL,
    BE_APPENDIX,
    BE_NODES,
    BE_VESSELS,
    BE_PELVIS,
    BE_BONES,
    BE_BASES
};
static const char *const belly_normals[] = {
    [BE_LIVER] = "[The liver is [normal|unremarkable|homogeneous without focal lesion].|No focal "
                 "hepatic lesion.|Normal liver "
                 "[contour and attenuation|without focal abnormality].]",
    [BE_BILIARY] = "[The gallbladder is [normal|unremarkable].|No biliary [ductal "
                   "|]dilatation.|Gallbladder and bile ducts are normal.]",
    [BE_PANCREAS] =
        "[The pancreas is [normal|unremarkable].|No pancreatic mass or ductal dilatation.]",
    [BE_SPLEEN] = "[The spleen is [normal|unremarkable|normal in size].|Normal spleen.]",
    [BE_ADRENALS] = "[The adrenal glands are [normal|unremarkable].|No adrenal nodule.|]",
    [BE_KIDNEYS] = "[The kidneys enhance symmetrically [without hydronephrosis|].|No "
                   "hydronephrosis or renal calculus.|Kidneys are "
                   "[normal|unremarkable].]",
    [BE_BOWEL] = "[No bowel obstruction or wall thickening.|The bowel is [normal in "
                 "caliber|unremarkable].|Small and large bowel are "
                 "normal in caliber.]",
    [BE_APPENDIX] = "[The appendix is [normal|visualized and normal].|Normal appendix.|]",
    [BE_NODES] = "[No [abdominal or pelvic |]lymphadenopathy.|No enlarged lymph nodes.|There is no "
                 "free fluid or lymphadenopathy.]",
    [BE_VESSELS] =
        "[The aorta is normal in caliber.|Mild atherosclerotic calcification of the aorta.|]",
    [BE_PELVIS] = "[The bladder [and pelvic organs are|is] unremarkable.|No pelvic mass or free "
                  "fluid.|The urinary bladder is normal.]",
    [BE_BONES] = "[No suspicious osseous lesion.|No acute osseous abnormality.|Degenerative "
                 "changes of the lumbar spine are noted.]",
    [BE_BASES] = "[The lung bases are clear.|Minimal bibasilar atelectasis.|]",
};
static const struct synth_lesion belly_lesions[] = {
    {.organ = BE_APPENDIX,
     .acuity = 3,
     .word = "appendicitis",
     .lo_mm = 8,
     .hi_mm = 18,
     .kind = "without perforation|with perforation|with a periappendiceal abscess|with an "
             "appendicolith",
     .find = "[The appendix is dilated to {dim} with periappendiceal stranding, in keeping with "
             "acute appendicitis {kind}.|Acute "
             "appendicitis {kind}, the appendix measuring {dim}.]",
     .imp = "[Acute appendicitis {kind}.|Acute appendicitis {kind}, measuring {dim}.]",
     .advice = "Surgical consultation is recommended."},
    {.organ = BE_BOWEL,
     .acuity = 3,
     .word = "diverticulitis",
     .sev = "mild|moderate|severe",
     .kind = "sigmoid|descending colon|cecal",
     .trend = true,
     .find = "[There is {sev} wall thickening and stranding about the {kind} diverticula, "
             "consistent with diverticulitis{chg}.|{sev} "
             "acute {kind} diverticulitis is present [without abscess|without free air]{chg}.]",
     .imp = "[{sev} acute {kind} diverticulitis{chgi}.|Acute {kind} diverticulitis, {sev}{chgi}.]"},
    {.organ = BE_BOWEL,
     .acuity = 3,
     .word = "small bowel obstruction",
     .lo_mm = 30,
     .hi_mm = 56,
     .kind = "mid ileum|distal ileum|jejunum|right lower quadrant",
     .trend = true,
     .find = "[Dilated small bowel loops up to {dim} with a transition point in the {kind} "
             "indicate small bowel obstruction{chg}.|There "
             "is a small bowel obstruction with transition point in the {kind}, loops measuring up "
             "to {dim}{chg}.]",
     .imp = "[Small bowel obstruction with transition point in the {kind}{chgi}.|High-grade small "
            "bowel obstruction, transition in the {kind}{chgi}.]"},
    {.organ = BE_BOWEL,
     .acuity = 3,
     .word = "colitis",
     .sev = "mild|moderate|severe",
     .kind = "pan|left-sided|right-sided|sigmoid",
     .find = "[There is {sev} colonic wall thickening, {kind} colitis being the leading "
             "consideration.|{sev} {kind} colitis with "
             "pericolonic stranding is [seen|present].]",
     .imp = "[{sev} {kind} colitis.|{kind} colitis, {sev}.]"},
    {.organ = BE_BOWEL,
     .acuity = 1,
     .word = "diverticulosis",
     .sev = "mild|moderate|extensive",
     .find = "[There is {sev} sigmoid diverticulosis without diverticulitis.|{sev} colonic "
             "diverticulosis is [seen|noted].]",
     .imp = "[{sev} diverticulosis.|{sev} colonic diverticulosis.]"},
    {.organ = BE_KIDNEYS,
     .acuity = 3,
     .word = "calculus",
     .site = "right|left",
     .lo_mm = 2,
     .hi_mm = 12,
     .kind = "distal ureteral|proximal ureteral|ureterovesical junction|midureteral",
     .sev = "mild|moderate|severe",
     .trend = true,
     .find = "[There is a {dim} {site} {kind} calculus with {sev} hydronephrosis{chg}.|A {site} "
             "{kind} calculus measuring {dim} causes "
             "{sev} upstream hydroureteronephrosis{chg}.]",
     .imp = "[{dim} {site} {kind} calculus with {sev} hydronephrosis{chgi}.|{sev} {site} "
            "obstruction by a {dim} {kind} calculus{chgi}.]"},
    {.organ = BE_KIDNEYS,
     .acuity = 1,
     .word = "cyst",
     .site = "right|left",
     .lo_mm = 8,
     .hi_mm = 70,
     .kind = "simple|mildly complex|hemorrhagic|parapelvic",
     .find = "[There is a {size} {kind} {site} renal cyst.|A {kind} {site} renal cyst measures "
             "{size}.]",
     .imp = "[{dim} {kind} {site} renal cyst.|{site} renal cyst measuring {dim}, {kind}.]"},
    {.organ = BE_KIDNEYS,
     .acuity = 2,
     .word = "renal mass",
     .site = "right|left",
     .lo_mm = 14,
     .hi_mm = 75,
     .kind = "upper pole|lower pole|interpolar",
     .trend = true,
     .find = "[There is a {size} enhancing {site} {kind} renal mass{chg}.|An enhancing {site} "
             "{kind} renal mass measures {size}{chg}.]",
     .imp = "[{dim} enhancing {site} renal mass, [suspicious for|concerning for] renal cell "
            "carcinoma{chgi}.|{site} {kind} renal mass "
            "measuring {dim}{chgi}.]",
     .advice = "Urology referral is recommended."},
    {.organ = BE_LIVER,
     .acuity = 1,
     .word = "steatosis",
     .sev = "mild|moderate|severe|diffuse",
     .find = "[There is {sev} hepatic steatosis.|Low attenuation of the liver reflects {sev} "
             "steatosis.]",
     .imp = "[{sev} hepatic steatosis.|Hepatic steatosis, {sev}.]"},
    {.organ = BE_LIVER,
     .acuity = 2,
     .word = "metasta",
     .lo_mm = 8,
     .hi_mm = 60,
     .sev = "multiple|numerous|several",
     .trend = true,
     .find = "[There are {sev} hypodense hepatic lesions measuring up to {dim}, consistent with "
             "metastases{chg}.|{sev} hepatic metastases "
             "are [seen|present], the largest measuring {dim}{chg}.]",
     .imp = "[{sev} hepatic metastases measuring up to {dim}{chgi}.|Hepatic metastases, up to "
            "{dim}{chgi}.]"},
    {.organ = BE_LIVER,
     .acuity = 1,
     .word = "hemangioma",
     .lo_mm = 8,
     .hi_mm = 40,
     .kind = "segment 2|segment 4|segment 6|segment 7|segment 8",
     .find = "[A {size} lesion in {kind} with peripheral nodular enhancement is a "
             "hemangioma.|There is a {size} hemangioma in hepatic {kind}.]",
     .imp = "[{dim} hepatic hemangioma in {kind}.|Hepatic {kind} hemangioma measuring {dim}.]"},
    {.organ = BE_LIVER,
     .acuity = 2,
     .word = "cirrho",
     .sev = "mild|moderate|large-volume",
     .trend = true,
     .find = "[The liver is nodular and cirrhotic with {sev} ascites{chg}.|Cirrhotic liver "
             "morphology with {sev} ascites{chg}.]",
     .imp = "[Cirrhosis with {sev} ascites{chgi}.|Cirrhotic liver and {sev} ascites{chgi}.]"},
    {.organ = BE_BILIARY,
     .acuity = 3,
     .word = "cholecystitis",
     .sev = "mild|moderate|marked",
     .find = "[The gallbladder is distended with stones and {sev} wall thickening, concerning for "
             "acute cholecystitis.|{sev} gallbladder "
             "wall edema and cholelithiasis suggest acute cholecystitis.]",
     .imp =
         "[Findings concerning for acute cholecystitis.|Acute cholecystitis with cholelithiasis.]",
     .advice = "Right upper quadrant ultrasound is recommended."},
    {.organ = BE_BILIARY,
     .acuity = 1,
     .word = "cholelithiasis",
     .sev = "multiple|several|a few",
     .find = "[There is cholelithiasis with {sev} stones, without wall thickening.|{sev} "
             "gallstones are [seen|noted], uncomplicated cholelithiasis.]",
     .imp = "[Cholelithiasis without cholecystitis.|Uncomplicated cholelithiasis.]"},
    {.organ = BE_PANCREAS,
     .acuity = 3,
     .word = "pancreatitis",
     .sev = "mild|moderate|severe",
     .kind = "interstitial edematous|necrotizing",
     .trend = true,
     .find = "[There is {sev} peripancreatic stranding in keeping with {kind} "
             "pancreatitis{chg}.|{sev} acute {kind} pancreatitis is [seen|present]{chg}.]",
     .imp = "[{sev} acute {kind} pancreatitis{chgi}.|Acute {kind} pancreatitis, {sev}{chgi}.]"},
    {.organ = BE_PANCREAS,
     .acuity = 3,
     .word = "pancreatic",
     .lo_mm = 14,
     .hi_mm = 55,
     .kind = "head|body|tail|uncinate process",
     .trend = true,
     .find = "[There is a hypoenhancing pancreatic {kind} mass measuring {size}{chg}.|A {size} "
             "hypodense mass is [seen|present] in the pancreatic {kind}{chg}.]",
     .imp = "[{dim} pancreatic {kind} mass, [suspicious for|concerning for] "
            "adenocarcinoma{chgi}.|Pancreatic {kind} mass measuring {dim}{chgi}.]"},
    {.organ = BE_SPLEEN,
     .acuity = 2,
     .word = "splenomegaly",
     .lo_mm = 135,
     .hi_mm = 210,
     .trend = true,
     .find = "[There is splenomegaly, the spleen measuring {dim}{chg}.|Splenomegaly with a length "
             "of {dim}{chg}.]",
     .imp = "[Splenomegaly measuring {dim}{chgi}.|Splenomegaly, {dim}{chgi}.]"},
    {.organ = BE_ADRENALS,
     .acuity = 1,
     .word = "adrenal",
     .site = "right|left",
     .lo_mm = 9,
     .hi_mm = 38,
     .find = "[There is a {size} {site} adrenal adenoma.|A low-density {site} adrenal nodule "
             "measures {size}, likely an adenoma.]",
     .imp = "[{dim} {site} adrenal adenoma.|{site} adrenal adenoma measuring {dim}.]"},
    {.organ = BE_NODES,
     .acuity = 2,
     .word = "lymph",
     .lo_mm = 11,
     .hi_mm = 40,
     .kind = "retroperitoneal|mesenteric|inguinal|iliac|portocaval",
     .trend = true,
     .find = "[Enlarged {kind} lymph nodes measure up to {size}{chg}.|There is {kind} "
             "lymphadenopathy up to {dim}{chg}.]",
     .imp = "[{kind} lymphadenopathy up to {dim}{chgi}.|Enlarged {kind} lymph nodes measuring "
            "{dim}{chgi}.]"},
    {.organ = BE_VESSELS,
     .acuity = 2,
     .word = "aneurysm",
     .lo_mm = 31,
     .hi_mm = 68,
     .kind = "infrarenal|suprarenal|juxtarenal",
     .trend = true,
     .find = "[There is a {kind} abdominal aortic aneurysm measuring {size}{chg}.|A {kind} aortic "
             "aneurysm with mural thrombus measures {size}{chg}.]",
     .imp = "[{dim} {kind} abdominal aortic aneurysm{chgi}.|{kind} aortic aneurysm measuring "
            "{dim}{chgi}.]",
     .advice = "Vascular surgery consultation is recommended.",
     .advice_mm = 55},
    {.organ = BE_PELVIS,
     .acuity = 1,
     .word = "prostat",
     .sev = "mildly|moderately|markedly",
     .find = "[The prostate is {sev} enlarged.|{sev} enlarged prostate gland is [seen|noted].]",
     .imp = "[{sev} enlarged prostate.|{sev} enlarged prostate gland.]"},
    {.organ = BE_BASES,
     .acuity = 2,
     .word = "effusion",
     .site = "right|left",
     .sev = "small|trace|moderate",
     .trend = true,
     .find = "[A {sev} {site} pleural effusion is partially imaged{chg}.|There is a {sev} {site} "
             "pleural effusion at the lung base{chg}.]",
     .imp = "[{sev} {site} pleural effusion{chgi}.|{site} pleural effusion, {sev}{chgi}.]"},
};

/* ---- cervical spine */
enum { CS_BODY, CS_ALIGN, CS_DISC, CS_SOFT };
static const char *const neck_normals[] = {
    [CS_BODY] = "[No [acute |]fracture.|There is no acute cervical spine fracture.|Vertebral body "
                "heights are maintained.]",
    [CS_ALIGN] = "[Alignment is [normal|maintained].|No traumatic malalignment.|The facets are "
                 "normally aligned.]",
    [CS_DISC] = "[Disc spaces are preserved.|No significant canal stenosis.|Mild degenerative "
                "change without canal stenosis.]",
    [CS_SOFT] = "[No prevertebral soft tissue swelling.|Prevertebral soft tissues are normal.|]",
};
static const struct synth_lesion neck_lesions[] = {
    {.organ = CS_BODY,
     .acuity = 3,
     .word = "fracture",
     .kind = "C1 anterior arch|type II odontoid|C5 vertebral body|C6 lamina|C7 spinous process|C7 "
             "transverse process",
     .sev = "nondisplaced|minimally displaced|displaced|comminuted",
     .find = "[There is a {sev} {kind} fracture.|A {sev} {kind} fracture is [seen|identified].]",
     .imp = "[{sev} {kind} fracture.|Acute {kind} fracture, {sev}.]",
     .advice = "Spine surgery consultation is recommended."},
    {.organ = CS_ALIGN,
     .acuity = 2,
     .word = "listhesis",
     .sev = "minimal|mild|grade 1",
     .kind = "C3 on C4|C4 on C5|C5 on C6|C7 on T1",
     .find = "[There is {sev} anterolisthesis of {kind}.|{sev} anterolisthesis of {kind}, likely "
             "degenerative, is [seen|noted].]",
     .imp = "[{sev} anterolisthesis of {kind}.|{sev} degenerative anterolisthesis of {kind}.]"},
    {.organ = CS_DISC,
     .acuity = 2,
     .word = "stenosis",
     .sev = "mild|moderate|severe",
     .kind = "C3-C4|C4-C5|C5-C6|C6-C7",
     .trend = true,
     .find = "[Disc osteophyte complex at {kind} causes {sev} canal stenosis{chg}.|There is {sev} "
             "spinal canal stenosis at {kind}{chg}.]",
     .imp = "[{sev} canal stenosis at {kind}{chgi}.|{kind} canal stenosis, {sev}{chgi}.]"},
    {.organ = CS_SOFT,
     .acuity = 2,
     .word = "thyroid",
     .site = "right|left",
     .lo_mm = 8,
     .hi_mm = 36,
     .find = "[A {size} {site} thyroid nodule is [seen|noted].|There is a {site} thyroid nodule "
             "measuring {size}.]",
     .imp = "[{dim} {site} thyroid nodule.|{site} thyroid nodule measuring {dim}.]",
     .advice = "Thyroid ultrasound is recommended.",
     .advice_mm = 15},
};

const struct synth_exam synth_exams_ct[] = {
    {.modality = "CT",
     .description = "CT HEAD WITHOUT CONTRAST|CT HEAD W/O CONTRAST|CT brain without contrast",
     .technique = "Axial images of the head without intravenous contrast|Noncontrast helical CT of "
                  "the head with coronal and sagittal reformats",
     .clinical = "headache|fall|altered mental status|trauma|seizure|weakness|dizziness|on "
                 "anticoagulation after a fall",
     .normals = SYNTH_TABLE(head_normals),
     .lesions = SYNTH_TABLE(head_lesions),
     .none = "[No acute intracranial abnormality.|No acute intracranial process.|Normal "
             "noncontrast head CT.]",
     .acute = "No acute intracranial abnormality.",
     .weight = 90},
    {.modality = "CT",
     .description = "CT CHEST WITH CONTRAST|CT CHEST W/O CONTRAST|CT thorax",
     .technique = "Helical CT of the chest with 1.25 mm axial images|CT of the chest was performed "
                  "with intravenous contrast",
     .clinical = "lung nodule|cough|weight loss|lung cancer screening|restaging of "
                 "malignancy|hemoptysis|interstitial lung disease",
     .normals = SYNTH_TABLE(thorax_normals),
     .lesions = SYNTH_TABLE(thorax_lesions),
     .none = "[No acute intrathoracic abnormality.|No acute thoracic process.|Normal chest CT.]",
     .acute = "No acute intrathoracic abnormality.",
     .weight = 60},
    {.modality = "CT",
     .description = "CTA CHEST PULMONARY EMBOLISM|CT ANGIOGRAPHY CHEST|CTPA",
     .technique = "CT angiography of the chest timed for the pulmonary arteries with MIP "
                  "reformats|Multidetector CTA of the chest after intravenous contrast",
     .clinical = "chest pain and tachycardia|shortness of breath|elevated d-dimer|hypoxia|leg "
                 "swelling and dyspnea",
     .normals = SYNTH_TABLE(thorax_normals),
     .lesions = SYNTH_TABLE(embolus_lesions),
     .none = "[No pulmonary embolism.|No evidence of pulmonary embolism.|No pulmonary embolism or "
             "acute intrathoracic process.]",
     .acute = "No pulmonary embolism.",
     .weight = 50},
    {.modality = "CT",
     .description =
         "CT ABDOMEN AND PELVIS WITH CONTRAST|CT ABD/PELVIS W CONTRAST|CT abdomen and pelvis",
     .technique = "Helical CT of the abdomen and pelvis with oral and intravenous contrast|CT of "
                  "the abdomen and pelvis in the portal venous phase",
     .clinical = "abdominal pain|right lower quadrant pain|flank pain|fever|weight loss|nausea and "
                 "vomiting|restaging of malignancy",
     .normals = SYNTH_TABLE(belly_normals),
     .lesions = SYNTH_TABLE(belly_lesions),
     .none = "[No acute abdominal or pelvic abnormality.|No acute intra-abdominal process.|No CT "
             "explanation for the symptoms.]",
     .acute = "No acute abdominal or pelvic abnormality.",
     .weight = 100},
    {.modality = "CT",
     .description = "CT CERVICAL SPINE WITHOUT CONTRAST|CT C-SPINE W/O CONTRAST",
     .technique = "Axial CT of the cervical spine with sagittal and coronal reformats",
     .clinical = "fall|neck pain|motor vehicle accident|trauma",
     .normals = SYNTH_TABLE(neck_normals),
     .lesions = SYNTH_TABLE(neck_lesions),
     .none = "[No acute fracture or malalignment.|No acute cervical spine fracture.|No acute "
             "cervical spine injury.]",
     .acute = "No acute fracture.",
     .weight = 40},
};
const size_t synth_exams_ct_n = sizeof synth_exams_ct / sizeof *synth_exams_ct;
