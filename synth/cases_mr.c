#include "synth/cases.h"

/* ---- brain */
enum { BR_DWI, BR_MASS, BR_WHITE, BR_VENTRICLES, BR_FLOW, BR_SELLA, BR_SINUS };
static const char *const brain_normals[] = {
    [BR_DWI] = "[There is no [restricted diffusion|diffusion abnormality] to suggest acute "
               "infarct.|No acute infarct.|No "
               "[focus|area] of restricted diffusion.]",
    [BR_MASS] = "[No mass, mass effect or midline shift.|No abnormal enhancement.|There is no "
                "intracranial mass.]",
    [BR_WHITE] = "[Parenchymal signal is normal.|White matter signal is normal [for age|].|A few "
                 "nonspecific T2 hyperintense foci "
                 "are within normal limits for age.]",
    [BR_VENTRICLES] = "[The ventricles and sulci are [normal|age-appropriate].|No "
                      "hydrocephalus.|Ventricular size is normal.]",
    [BR_FLOW] = "[Major intracranial flow voids are [preserved|maintained].|Normal flow voids.|]",
    [BR_SELLA] =
        "[The pituitary gland is normal.|The sella and craniocervical junction are unremarkable.|]",
    [BR_SINUS] =
        "[The paranasal sinuses are clear.|Orbits, sinuses and mastoids are unremarkable.|]",
};
static const struct synth_lesion brain_lesions[] = {
    {.organ = BR_DWI,
     .acuity = 3,
     .word = "infarct",
     .site = "right|left",
     .sev = "acute|subacute|early subacute",
     .trend = true,
     .kind = "thalamus|pons|corona radiata|middle cerebral artery territory|cerebellum|occipital "
             "lobe|precentral gyrus",
     .find = "[Restricted diffusion in the {site} {kind} is consistent with {sev} "
             "infarct{chg}.|There is a {sev} infarct in the {site} "
             "{kind}{chg}.|{sev} infarction of the {site} {kind} with restricted diffusion{chg}.]",
     .imp = "[{sev} infarct in the {site} {kind}{chgi}.|{sev} {site} {kind} infarct{chgi}.]"},
    {.organ = BR_MASS,
     .acuity = 3,
     .word = "mass",
     .site = "right|left",
     .lo_mm = 10,
     .hi_mm = 62,
     .trend = true,
     .kind = "frontal|temporal|parietal|cerebellar|occipital",
     .sev = "ring-enhancing|heterogeneously enhancing|nonenhancing|homogeneously enhancing",
     .find = "[There is a {size} {sev} {site} {kind} mass with surrounding edema{chg}.|A {sev} "
             "mass in the {site} {kind} region measures "
             "{size}{chg}.]",
     .imp =
         "[{dim} {sev} {site} {kind} mass{chgi}.|{site} {kind} {sev} mass measuring {dim}{chgi}.]",
     .advice = "Neurosurgical consultation is recommended.",
     .advice_mm = 30},
    {.organ = BR_MASS,
     .acuity = 2,
     .word = "meningioma",
     .site = "right|left",
     .lo_mm = 7,
     .hi_mm = 45,
     .trend = true,
     .kind = "frontal convexity|parafalcine|sphenoid wing|cerebellopontine angle",
     .find = "[There is a {size} dural-based enhancing lesion of the {site} {kind}, consistent "
             "with meningioma{chg}.|A {site} {kind} "
             "meningioma measures {size}{chg}.]",
     .imp =
         "[{dim} {site} {kind} meningioma{chgi}.|{site} {kind} meningioma measuring {dim}{chgi}.]"},
    {.organ = BR_WHITE,
     .acuity = 2,
     .word = "demyelinat",
     .sev = "few|several|numerous|multiple",
     .kind = "periventricular|juxtacortical|infratentorial|callososeptal",
     .trend = true,
     .find = "[There are {sev} {kind} T2 hyperintense lesions typical of demyelinating "
             "disease{chg}.|{sev} {kind} demyelinating lesions are "
             "[seen|present]{chg}.]",
     .imp = "[{sev} {kind} demyelinating lesions, [consistent with|compatible with] multiple "
            "sclerosis{chgi}.|Demyelinating disease with {sev} {kind} lesions{chgi}.]"},
    {.organ = BR_WHITE,
     .acuity = 1,
     .word = "small vessel",
     .sev = "mild|moderate|extensive",
     .trend = true,
     .find = "[Scattered T2 hyperintensities reflect {sev} chronic small vessel "
             "disease{chg}.|There is {sev} chronic small vessel ischemic "
             "change{chg}.]",
     .imp = "[{sev} chronic small vessel ischemic disease{chgi}.|Chronic small vessel disease, "
            "{sev}{chgi}.]"},
    {.organ = BR_VENTRICLES,
     .acuity = 3,
     .word = "hydrocephalus",
     .sev = "mild|moderate|severe",
     .kind = "communicating|obstructive|normal-pressure type",
     .trend = true,
     .find = "[There is {sev} ventricular enlargement, {kind} hydrocephalus{chg}.|{sev} {kind} "
             "hydrocephalus is [seen|present]{chg}.]",
     .imp = "[{sev} {kind} hydrocephalus{chgi}.|Hydrocephalus, {sev}, {kind}{chgi}.]"},
    {.organ = BR_VENTRICLES,
     .acuity = 1,
     .word = "atrophy",
     .sev = "mild|moderate|advanced",
     .kind = "generalized|frontotemporal|hippocampal|cerebellar",
     .find = "[There is {sev} {kind} atrophy.|{sev} {kind} atrophy is [seen|noted].]",
     .imp = "[{sev} {kind} atrophy.|{kind} atrophy, {sev}.]"},
    {.organ = BR_FLOW,
     .acuity = 2,
     .word = "aneurysm",
     .site = "right|left",
     .lo_mm = 3,
     .hi_mm = 16,
     .kind = "middle cerebral artery bifurcation|posterior communicating artery|cavernous carotid",
     .find = "[There is a {dim} {site} {kind} aneurysm.|A {site} {kind} aneurysm measures {dim}.]",
     .imp = "[{dim} {site} {kind} aneurysm.|{site} {kind} aneurysm measuring {dim}.]",
     .advice = "Neurovascular referral is recommended.",
     .advice_mm = 7},
    {.organ = BR_SELLA,
     .acuity = 2,
     .word = "pituitary",
     .lo_mm = 4,
     .hi_mm = 28,
     .site = "right|left",
     .trend = true,
     .find = "[A {size} hypoenhancing lesion in the {site} pituitary gland is "
             "[seen|noted]{chg}.|There is a {size} {site} pituitary adenoma{chg}.]",
     .imp =
         "[{dim} {site} pituitary adenoma{chgi}.|{site} pituitary adenoma measuring {dim}{chgi}.]"},
};

/* ---- lumbar spine */
enum { SP_ALIGN, SP_MARROW, SP_CONUS, SP_L3, SP_L4, SP_L5, SP_SOFT };
static const char *const lspine_normals[] = {
    [SP_ALIGN] = "[Alignment is [normal|anatomic|maintained].|No spondylolisthesis.]",
    [SP_MARROW] = "[Marrow signal is [normal|unremarkable].|Vertebral body heights are "
                  "preserved.|No compression fracture or marrow edema.]",
    [SP_CONUS] = "[The conus terminates at L1 and is normal.|Normal conus and cauda equina.|The "
                 "conus medullaris is unremarkable.]",
    [SP_L3] =
        "[L3-L4: No disc herniation or stenosis.|At L3-L4 there is no significant disc disease.]",
    [SP_L4] = "[L4-L5: No significant canal or foraminal narrowing.|At L4-L5 there is no "
              "herniation.|L4-L5: Minimal disc desiccation without stenosis.]",
    [SP_L5] = "[L5-S1: No herniation or stenosis.|At L5-S1 there is no significant narrowing.]",
    [SP_SOFT] = "[Paraspinal soft tissues are normal.|]",
};
#define DISC(o, level)                                                                             \
    {.organ = (o),                                                                                 \
     .acuity = 2,                                                                                  \
     .word = level,                                                                                \
     .sev = "small|moderate|large",                                                                \
     .kind = "right paracentral|left paracentral|central|left foraminal|right foraminal",          \
     .trend = true,                                                                                \
     .find = "[" level ": There is a {sev} {kind} disc protrusion [with narrowing of the lateral " \
             "recess|contacting the traversing nerve root|]{chg}.|At " level                       \
             ", a {sev} {kind} disc herniation is [seen|present]{chg}.]",                          \
     .imp = "[{sev} {kind} disc protrusion at " level "{chgi}.|" level                             \
            " {kind} disc protrusion, {sev}{chgi}.]"},                                             \
        {.organ = (o),                                                                             \
         .acuity = 2,                                                                              \
         .word = level,                                                                            \
         .sev = "mild|moderate|severe",                                                            \
         .kind = "right|left|bilateral",                                                           \
         .trend = true,                                                                            \
         .find = "[" level ": Disc bulge and facet hypertrophy cause {sev} {kind} foraminal "      \
                 "narrowing{chg}.|At " level " there is {sev} {kind} neural foraminal "            \
                 "narrowing{chg}.]",                                                               \
         .imp = "[{sev} {kind} foraminal narrowing at " level "{chgi}.|" level                     \
                " {sev} {kind} foraminal narrowing{chgi}.]"},                                      \
    {                                                                                              \
        .organ = (o), .acuity = 2, .word = level, .sev = "mild|moderate|severe", .trend = true,    \
        .find =                                                                                    \
            "[" level ": There is {sev} central canal stenosis from disc bulge and ligamentum "    \
            "flavum thickening{chg}.|At " level ", {sev} canal stenosis is "                       \
            "[seen|present]{chg}.]",                                                               \
        .imp = "[{sev} central canal stenosis at " level "{chgi}.|" level                          \
               " {sev} canal stenosis{chgi}.]"                                                     \
    }
static const struct synth_lesion lspine_lesions[] = {
    DISC(SP_L3, "L3-L4"),
    DISC(SP_L4, "L4-L5"),
    DISC(SP_L5, "L5-S1"),
    {.organ = SP_MARROW,
     .acuity = 3,
     .word = "compression fracture",
     .kind = "L1|L2|L3|L4|T12",
     .sev = "acute|subacute|chronic",
     .trend = true,
     .find = "[There is a {sev} compression fracture of {kind}{chg}.|{kind} shows a {sev} "
             "compression fracture with height loss{chg}.]",
     .imp =
         "[{sev} {kind} compression fracture{chgi}.|{sev} compression fracture of {kind}{chgi}.]"},
    {.organ = SP_ALIGN,
     .acuity = 2,
     .word = "anterolisthesis",
     .sev = "grade 1|grade 2|minimal",
     .kind = "L4 on L5|L3 on L4|L5 on S1",
     .find = "[There is {sev} anterolisthesis of {kind}.|{sev} degenerative anterolisthesis of "
             "{kind} is [seen|noted].]",
     .imp = "[{sev} anterolisthesis of {kind}.|{sev} degenerative anterolisthesis of {kind}.]"},
};

/* ---- knee */
enum { KJ_MEDIAL, KJ_LATERAL, KJ_CRUCIATE, KJ_COLLATERAL, KJ_CARTILAGE, KJ_FLUID, KJ_MARROW };
static const char *const knee_normals[] = {
    [KJ_MEDIAL] = "[The medial meniscus is [intact|normal].|Normal medial meniscus.|No medial "
                  "meniscal tear.]",
    [KJ_LATERAL] = "[The lateral meniscus is [intact|normal].|Normal lateral meniscus.|No lateral "
                   "meniscal tear.]",
    [KJ_CRUCIATE] = "[The anterior and posterior cruciate ligaments are intact.|Cruciate ligaments "
                    "are [normal|intact].]",
    [KJ_COLLATERAL] = "[The collateral ligaments are [intact|normal].|Normal collateral ligaments "
                      "and extensor mechanism.]",
    [KJ_CARTILAGE] = "[Articular cartilage is [preserved|normal].|No full-thickness cartilage "
                     "defect.|Minimal patellar chondral fissuring.]",
    [KJ_FLUID] =
        "[No joint effusion.|There is no effusion or popliteal cyst.|Physiologic joint fluid.]",
    [KJ_MARROW] = "[Marrow signal is normal.|No fracture or bone contusion.|]",
};
static const struct synth_lesion knee_lesions[] = {
    {.organ = KJ_MEDIAL,
     .acuity = 3,
     .word = "medial menisc",
     .sev = "horizontal|radial|complex|bucket-handle|vertical longitudinal",
     .kind = "posterior horn|body|posterior root",
     .find = "[There is a {sev} tear of the {kind} of the medial meniscus.|The medial meniscus "
             "shows a {sev} tear of the {kind}.]",
     .imp = "[{sev} tear of the medial meniscus {kind}.|Medial meniscal tear, {sev}, {kind}.]"},
    {.organ = KJ_LATERAL,
     .acuity = 3,
     .word = "lateral menisc",
     .sev = "horizontal|radial|complex|vertical",
     .kind = "anterior horn|posterior horn|body",
     .find = "[There is a {sev} tear of the {kind} of the lateral meniscus.|The lateral meniscus "
             "shows a {sev} tear of the {kind}.]",
     .imp = "[{sev} tear of the lateral meniscus {kind}.|Lateral meniscal tear, {sev}, {kind}.]"},
    {.organ = KJ_CRUCIATE,
     .acuity = 3,
     .word = "cruciate ligament",
     .sev = "complete|partial|high-grade partial",
     .kind = "anterior|posterior",
     .find = "[There is a {sev} tear of the {kind} cruciate ligament.|The {kind} cruciate ligament "
             "shows a {sev} tear.]",
     .imp = "[{sev} {kind} cruciate ligament tear.|{sev} tear of the {kind} cruciate ligament.]"},
    {.organ = KJ_COLLATERAL,
     .acuity = 2,
     .word = "collateral ligament",
     .sev = "grade 1|grade 2|grade 3",
     .kind = "medial|lateral",
     .find = "[There is a {sev} sprain of the {kind} collateral ligament.|Edema about the {kind} "
             "collateral ligament reflects a {sev} sprain.]",
     .imp = "[{sev} {kind} collateral ligament sprain.|{sev} sprain of the {kind} collateral "
            "ligament.]"},
    {.organ = KJ_CARTILAGE,
     .acuity = 2,
     .word = "chondral",
     .sev = "grade 2|grade 3|full-thickness|diffuse",
     .kind = "medial femoral condyle|patella|trochlea|lateral tibial plateau",
     .trend = true,
     .find = "[There is {sev} chondral loss of the {kind}{chg}.|{sev} chondral loss is "
             "[seen|noted] at the {kind}{chg}.]",
     .imp = "[{sev} chondral loss of the {kind}{chgi}.|{kind} {sev} chondral loss{chgi}.]"},
    {.organ = KJ_FLUID,
     .acuity = 2,
     .word = "effusion",
     .sev = "small|moderate|large",
     .trend = true,
     .find = "[There is a {sev} joint effusion{chg}.|A {sev} knee joint effusion is "
             "[seen|present]{chg}.]",
     .imp = "[{sev} joint effusion{chgi}.|{sev} knee effusion{chgi}.]"},
    {.organ = KJ_MARROW,
     .acuity = 2,
     .word = "contusion",
     .kind = "lateral femoral condyle|posterolateral tibial plateau|medial femoral condyle|patella",
     .sev = "mild|moderate|extensive",
     .find = "[There is {sev} bone contusion of the {kind}.|{sev} marrow edema in the {kind} "
             "reflects contusion.]",
     .imp = "[{sev} {kind} bone contusion.|{kind} bone contusion.]"},
};

/* ---- shoulder */
enum { SH_SUPRA, SH_SUBSCAP, SH_BICEPS, SH_LABRUM, SH_AC, SH_BURSA };
static const char *const shoulder_normals[] = {
    [SH_SUPRA] = ("[The supraspinatus and infraspinatus tendons are intact.|No supraspinatus "
                  "tear.|The supraspinatus tendon is normal.]"),
    [SH_SUBSCAP] = "[The subscapularis is [intact|normal].|Normal subscapularis and teres minor.]",
    [SH_BICEPS] =
        "[The long head of the biceps is [intact|normally located].|Normal biceps tendon.]",
    [SH_LABRUM] = "[The labrum is [intact|normal].|No labral tear.]",
    [SH_AC] =
        "[The acromioclavicular joint is normal.|Mild acromioclavicular degenerative change.|]",
    [SH_BURSA] = "[No subacromial bursal fluid.|No joint effusion.|]",
};
static const struct synth_lesion shoulder_lesions[] = {
    {.organ = SH_SUPRA,
     .acuity = 3,
     .word = "supraspinatus",
     .lo_mm = 5,
     .hi_mm = 42,
     .sev = "full-thickness|partial-thickness articular-sided|partial-thickness bursal-sided",
     .trend = true,
     .find = "[There is a {sev} tear of the supraspinatus measuring {dim}{chg}.|The supraspinatus "
             "tendon shows a {dim} {sev} tear{chg}.]",
     .imp =
         "[{dim} {sev} supraspinatus tear{chgi}.|{sev} tear of the supraspinatus, {dim}{chgi}.]"},
    {.organ = SH_SUPRA,
     .acuity = 2,
     .word = "supraspinatus tendin",
     .sev = "mild|moderate|severe",
     .find = "[There is {sev} supraspinatus tendinosis without tear.|{sev} supraspinatus "
             "tendinopathy is [seen|noted].]",
     .imp = "[{sev} supraspinatus tendinosis.|{sev} supraspinatus tendinopathy.]"},
    {.organ = SH_SUBSCAP,
     .acuity = 3,
     .word = "subscapularis",
     .sev = "partial|full-thickness|interstitial",
     .kind = "superior fibers|mid fibers|insertional fibers",
     .find = "[There is a {sev} tear of the {kind} of the subscapularis.|The subscapularis has a "
             "{sev} tear of its {kind}.]",
     .imp = "[{sev} subscapularis tear, {kind}.|{sev} tear of the subscapularis {kind}.]"},
    {.organ = SH_BICEPS,
     .acuity = 2,
     .word = "biceps",
     .sev = "moderate tendinosis|split tear|medial subluxation|complete rupture",
     .find = "[There is {sev} of the long head of the biceps.|The long head of the biceps shows "
             "{sev}.]",
     .imp = "[{sev} of the long head of the biceps.|Long head biceps {sev}.]"},
    {.organ = SH_LABRUM,
     .acuity = 3,
     .word = "labr",
     .kind = "superior|posterior|anteroinferior|circumferential",
     .find = "[There is a {kind} labral tear.|A tear of the {kind} labrum is [seen|present].]",
     .imp = "[{kind} labral tear.|Tear of the {kind} labrum.]"},
    {.organ = SH_AC,
     .acuity = 1,
     .word = "acromioclavicular",
     .sev = "moderate|severe|mild",
     .find = "[There is {sev} acromioclavicular osteoarthritis.|{sev} acromioclavicular joint "
             "arthrosis is [noted|seen].]",
     .imp = "[{sev} acromioclavicular osteoarthritis.|{sev} acromioclavicular arthrosis.]"},
    {.organ = SH_BURSA,
     .acuity = 2,
     .word = "bursitis",
     .sev = "mild|moderate|marked",
     .find = "[There is {sev} subacromial subdeltoid bursitis.|Bursal fluid reflects {sev} "
             "subacromial bursitis.]",
     .imp = "[{sev} subacromial bursitis.|{sev} subacromial subdeltoid bursitis.]"},
};

/* ---- liver */
enum { LV_LESION, LV_FAT, LV_DUCTS, LV_PANCREAS, LV_VEINS, LV_NODES };
static const char *const liver_normals[] = {
    [LV_LESION] = "[No focal hepatic lesion.|There is no suspicious liver lesion.|No arterially "
                  "enhancing lesion or washout.]",
    [LV_FAT] = "[No signal loss on out-of-phase images.|No steatosis or iron deposition.|Hepatic "
               "signal is normal.]",
    [LV_DUCTS] = "[No biliary dilatation or filling defect.|The biliary tree is normal in "
                 "caliber.|Normal bile ducts and gallbladder.]",
    [LV_PANCREAS] = "[The pancreas is normal.|No pancreatic lesion or ductal dilatation.]",
    [LV_VEINS] = "[The portal and hepatic veins are patent.|Patent hepatic vasculature.]",
    [LV_NODES] = "[No ascites or adenopathy.|Spleen, adrenals and kidneys are normal.|]",
};
static const struct synth_lesion liver_lesions[] = {
    {.organ = LV_LESION,
     .acuity = 3,
     .word = "washout",
     .lo_mm = 10,
     .hi_mm = 70,
     .kind = "segment 2|segment 3|segment 5|segment 6|segment 7|segment 8",
     .trend = true,
     .find = "[In {kind} there is a {size} arterially enhancing lesion with washout and "
             "capsule{chg}.|A {size} {kind} lesion shows arterial enhancement and "
             "washout{chg}.]",
     .imp = "[{dim} {kind} lesion with washout, [consistent with|diagnostic of] hepatocellular "
            "carcinoma{chgi}.|{kind} lesion with washout measuring {dim}, LI-RADS 5{chgi}.]"},
    {.organ = LV_LESION,
     .acuity = 1,
     .word = "hemangioma",
     .lo_mm = 7,
     .hi_mm = 60,
     .kind = "segment 2|segment 4|segment 6|segment 8",
     .find = "[A {size} T2 bright hemangioma with nodular enhancement is in {kind}.|There is a "
             "{size} hemangioma in {kind}.]",
     .imp = "[{dim} {kind} hemangioma.|Hemangioma in {kind} measuring {dim}.]"},
    {.organ = LV_LESION,
     .acuity = 2,
     .word = "metasta",
     .lo_mm = 8,
     .hi_mm = 50,
     .sev = "multiple|several|numerous",
     .trend = true,
     .find = "[{sev} rim-enhancing hepatic metastases measure up to {dim}{chg}.|There are {sev} "
             "liver metastases up to {dim}{chg}.]",
     .imp = "[{sev} hepatic metastases up to {dim}{chgi}.|Hepatic metastases measuring up to "
            "{dim}{chgi}.]"},
    {.organ = LV_FAT,
     .acuity = 1,
     .word = "steatosis",
     .sev = "mild|moderate|severe",
     .find = "[Signal loss on out-of-phase images indicates {sev} steatosis.|There is {sev} "
             "hepatic steatosis.]",
     .imp = "[{sev} hepatic steatosis.|Hepatic steatosis, {sev}.]"},
    {.organ = LV_DUCTS,
     .acuity = 3,
     .word = "choledocholithiasis",
     .lo_mm = 3,
     .hi_mm = 14,
     .sev = "mild|moderate|marked",
     .find = "[A {dim} filling defect in the distal common bile duct reflects choledocholithiasis "
             "with {sev} biliary dilatation.|There is choledocholithiasis, a "
             "{dim} stone with {sev} upstream dilatation.]",
     .imp = "[Choledocholithiasis with {sev} biliary dilatation.|{dim} stone, choledocholithiasis "
            "with {sev} dilatation.]",
     .advice = "ERCP is recommended."},
    {.organ = LV_PANCREAS,
     .acuity = 2,
     .word = "pancrea",
     .lo_mm = 5,
     .hi_mm = 34,
     .kind = "head|body|tail|uncinate process",
     .trend = true,
     .find = "[There is a {size} cystic lesion in the pancreatic {kind}, likely a side-branch "
             "IPMN{chg}.|A pancreatic {kind} cyst measures {size}{chg}.]",
     .imp = "[{dim} pancreatic {kind} cyst, likely IPMN{chgi}.|Pancreatic {kind} cystic lesion "
            "measuring {dim}{chgi}.]",
     .advice = "Follow-up MRCP in 6 months is recommended.",
     .advice_mm = 20},
    {.organ = LV_VEINS,
     .acuity = 3,
     .word = "portal vein",
     .sev = "occlusive|nonocclusive|chronic",
     .kind = "main|right|left",
     .trend = true,
     .find = "[There is {sev} thrombus in the {kind} portal vein{chg}.|The {kind} portal vein "
             "contains {sev} thrombus{chg}.]",
     .imp =
         "[{sev} {kind} portal vein thrombosis{chgi}.|{kind} portal vein thrombus, {sev}{chgi}.]"},
    {.organ = LV_NODES,
     .acuity = 2,
     .word = "ascites",
     .sev = "small|moderate|large",
     .trend = true,
     .find = "[There is {sev} volume ascites{chg}.|{sev} ascites is [seen|present]{chg}.]",
     .imp = "[{sev} ascites{chgi}.|{sev} volume ascites{chgi}.]"},
};

const struct synth_exam synth_exams_mr[] = {
    {.modality = "MR",
     .description = "MRI BRAIN WITH AND WITHOUT CONTRAST|MR HEAD W/WO CONTRAST|MRI brain",
     .technique =
         "Sagittal T1, axial FLAIR, T2, gradient echo and diffusion images, and postcontrast "
         "T1|Multiplanar multisequence MRI of the brain before and after gadolinium",
     .clinical = "headache|seizure|stroke symptoms|multiple sclerosis|memory loss|dizziness|known "
                 "brain tumor|vision changes",
     .normals = SYNTH_TABLE(brain_normals),
     .lesions = SYNTH_TABLE(brain_lesions),
     .none =
         "[No acute intracranial abnormality.|Normal MRI of the brain.|No acute infarct or mass.]",
     .acute = "No acute intracranial abnormality.",
     .weight = 30},
    {.modality = "MR",
     .description = "MRI LUMBAR SPINE WITHOUT CONTRAST|MR L-SPINE W/O CONTRAST",
     .technique = "Sagittal T1, T2 and STIR and axial T1 and T2 images of the lumbar spine",
     .clinical = "low back pain|radiculopathy|leg weakness|sciatica|spinal stenosis",
     .normals = SYNTH_TABLE(lspine_normals),
     .lesions = SYNTH_TABLE(lspine_lesions),
     .none = "[No significant canal or foraminal stenosis.|Normal MRI of the lumbar spine.|No disc "
             "herniation or stenosis.]",
     .acute = "No significant canal stenosis.",
     .weight = 25},
    {.modality = "MR",
     .description = "MRI KNEE WITHOUT CONTRAST|MR KNEE W/O CONTRAST",
     .technique = "Multiplanar proton density and fat-suppressed T2 images of the knee",
     .clinical = "knee pain|twisting injury|instability|locking|medial joint line pain",
     .normals = SYNTH_TABLE(knee_normals),
     .lesions = SYNTH_TABLE(knee_lesions),
     .none = "[No meniscal or ligament tear.|No internal derangement.|Normal MRI of the knee.]",
     .acute = "No meniscal or ligament tear.",
     .weight = 20},
    {.modality = "MR",
     .description = "MRI SHOULDER WITHOUT CONTRAST|MR SHOULDER W/O CONTRAST",
     .technique =
         "Oblique coronal, oblique sagittal and axial fluid-sensitive images of the shoulder",
     .clinical = "shoulder pain|weakness|limited range of motion|fall",
     .normals = SYNTH_TABLE(shoulder_normals),
     .lesions = SYNTH_TABLE(shoulder_lesions),
     .none = "[No rotator cuff or labral tear.|Normal MRI of the shoulder.|Intact rotator cuff.]",
     .acute = "No rotator cuff tear.",
     .weight = 15},
    {.modality = "MR",
     .description = "MRI ABDOMEN WITH AND WITHOUT CONTRAST|MR LIVER W/WO CONTRAST|MRCP",
     .technique = "Multiphasic MRI of the abdomen before and after gadolinium with MRCP sequences",
     .clinical = "liver lesion|elevated liver enzymes|cirrhosis|pancreatic cyst|jaundice",
     .normals = SYNTH_TABLE(liver_normals),
     .lesions = SYNTH_TABLE(liver_lesions),
     .none = "[No suspicious hepatic lesion.|Normal MRI of the abdomen.|No focal liver lesion or "
             "biliary dilatation.]",
     .acute = "No suspicious hepatic lesion.",
     .weight = 15},
};
const size_t synth_exams_mr_n = sizeof synth_exams_mr / sizeof *synth_exams_mr;
