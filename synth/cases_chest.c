#include "synth/cases.h"

#define LUNG_SITES                                                                                 \
    "right upper lobe|right middle lobe|right lower lobe|left upper lobe|left lower lobe|lingula|" \
    "right lung base|left lung base|left retrocardiac region|right perihilar region"
#define BASES "right lung base|left lung base|both lung bases|left retrocardiac region"

enum {
    LUNGS,
    EDEMA,
    EFFUSION,
    PNEUMOTHORAX,
    HEART,
    MEDIASTINUM,
    BONES,
    TUBES,
    LINES,
    DEVICES,
    ABDOMEN,
    VOLUMES
};

static const char *const normals[] = {
    [LUNGS] = "[The lungs are clear.|Lungs are clear [bilaterally|without focal consolidation].|"
              "No focal [consolidation|airspace opacity] is [seen|identified|present].|"
              "The lungs are [well expanded|well inflated|normally aerated] and clear.|"
              "There is no focal [consolidation|airspace disease].]",
    [EDEMA] = "[There is no [pulmonary|interstitial|overt] edema.|[The pulmonary|Pulmonary] "
              "vascularity is [normal|within normal limits].|No [evidence of |signs of |]pulmonary "
              "edema or vascular congestion.|The pulmonary vasculature is [normal|unremarkable].]",
    [EFFUSION] = "[No pleural effusion.|There is no [large |]pleural effusion.|The costophrenic "
                 "[angles|sulci] are [sharp|clear].|No effusion is [seen|present|identified].|The "
                 "pleural surfaces are normal.]",
    [PNEUMOTHORAX] = "[No pneumothorax.|There is no [evidence of |]pneumothorax.|No pneumothorax "
                     "is [seen|identified|visualized].]",
    [HEART] = "[The cardiac silhouette|Heart size|The heart|The cardiac shadow] is [normal|within "
              "normal limits|normal in size|not enlarged].",
    [MEDIASTINUM] = "[The mediastinal [and hilar |]contours are [normal|unremarkable|within normal "
                    "limits].|The mediastinum is [normal|unremarkable|not widened].|Normal hilar "
                    "and mediastinal contours.]",
    [BONES] =
        "[No acute osseous abnormality.|The [visualized |imaged |]osseous structures are "
        "[intact|unremarkable|without acute abnormality].|[Mild|Minimal] degenerative changes "
        "are [noted|seen|present] in the thoracic spine.|No displaced [rib |]fracture is "
        "[seen|identified].]",
    [TUBES] = "",
    [LINES] = "",
    [DEVICES] = "",
    [ABDOMEN] = "[No free air [below|beneath|under] the [hemidiaphragms|diaphragm].|The [imaged|"
                "visualized] upper abdomen is unremarkable.|]",
    [VOLUMES] = "[The lungs are normally inflated.|Lung volumes are normal.|]",
};

static const struct synth_lesion lesions[] = {
    {.organ = LUNGS,
     .acuity = 3,
     .word = "consolidation",
     .site = LUNG_SITES,
     .trend = true,
     .sev = "focal|patchy|dense|confluent",
     .find = "[There is a {sev} consolidation in the {site}{chg}.|A {sev} consolidation is [seen|"
             "present|noted|again demonstrated] in the {site}{chg}.|{sev} consolidation [involves|"
             "projects over|occupies] the {site}{chg}.|[In the {site} there is|The {site} shows] a "
             "{sev} consolidation [with air bronchograms|with ill-defined margins|]{chg}.]",
     .imp = "[{site} consolidation[, concerning for| compatible with| suspicious for] pneumonia"
            "{chgi}.|Consolidation in the {site}, [likely|most likely] pneumonia{chgi}.]",
     .advice = "Follow-up radiographs after treatment are recommended to document resolution."},
    {.organ = LUNGS,
     .acuity = 3,
     .word = "opacit",
     .kind = "right|left|bilateral",
     .trend = true,
     .sev = "patchy|hazy|ill-defined|multifocal|ground-glass",
     .find =
         "[{sev} {kind} airspace opacities are [present|noted|seen]{chg}.|There are {sev} {kind} "
         "airspace opacities{chg}.|{kind} {sev} parenchymal opacities are [identified|"
         "demonstrated]{chg}.]",
     .imp =
         "[{kind} airspace opacities[, concerning for| suspicious for] multifocal pneumonia{chgi}.|"
         "{sev} {kind} opacities, which may represent multifocal pneumonia{chgi}.]"},
    {.organ = LUNGS,
     .acuity = 2,
     .word = "atelectasis",
     .site = BASES,
     .trend = true,
     .sev = "linear|mild|subsegmental|platelike|streaky|moderate",
     .find = "[There is {sev} atelectasis at the {site}{chg}.|{sev} [opacity|opacities] at the "
             "{site} [most likely represent|are consistent with|are in keeping with] atelectasis"
             "{chg}.|{sev} atelectasis is [seen|noted|present] at the {site}{chg}.]",
     .imp = "[{sev} atelectasis at the {site}{chgi}.|Atelectasis at the {site}{chgi}.]"},
    {.organ = LUNGS,
     .acuity = 2,
     .word = "nodul",
     .site = LUNG_SITES,
     .lo_mm = 4,
     .hi_mm = 28,
     .sev = "rounded|well-circumscribed|ill-defined|spiculated",
     .trend = true,
     .find = "[There is a {sev} nodule measuring {size} in the {site}{chg}.|A {size} {sev} nodular "
             "opacity projects over the {site}{chg}.|In the {site}, a {sev} nodule measures {size}"
             "{chg}.]",
     .imp = "[{dim} pulmonary nodule in the {site}{chgi}.|Pulmonary nodule in the {site} measuring "
            "{dim}{chgi}.]",
     .advice = "[Chest CT is recommended for further evaluation.|Recommend chest CT.]",
     .advice_mm = 8},
    {.organ = LUNGS,
     .acuity = 3,
     .word = "mass",
     .site = LUNG_SITES,
     .lo_mm = 32,
     .hi_mm = 80,
     .sev = "large|lobulated|spiculated|rounded",
     .trend = true,
     .find = "[There is a {sev} mass in the {site} measuring [approximately |]{size}{chg}.|A {sev} "
             "{size} mass is [present|seen|noted] in the {site}{chg}.]",
     .imp =
         "[{dim} {site} mass, [concerning for|highly suspicious for] malignancy{chgi}.|{site} mass "
         "measuring {dim}, suspicious for a primary lung neoplasm{chgi}.]",
     .advice = "[Chest CT is recommended for further evaluation.|Recommend chest CT.]"},
    {.organ = LUNGS,
     .acuity = 1,
     .word = "granuloma",
     .site = LUNG_SITES,
     .lo_mm = 3,
     .hi_mm = 9,
     .find = "[A calcified granuloma measuring {size} is [seen|noted] in the {site}.|There is a "
             "{size} calcified granuloma in the {site}.]",
     .imp = "[Calcified granuloma in the {site}.|{site} calcified granuloma.]"},
    {.organ = LUNGS,
     .acuity = 1,
     .word = "scarring",
     .kind = "right|left|biapical|bilateral upper lobe",
     .sev = "mild|moderate|stable-appearing|linear",
     .find =
         "[There is {sev} {kind} [apical |]scarring.|{sev} {kind} pleuroparenchymal scarring is "
         "[seen|noted|present].]",
     .imp = "[{sev} {kind} scarring.|{kind} parenchymal scarring.]"},
    {.organ = LUNGS,
     .acuity = 2,
     .word = "interstitial",
     .sev = "mild|moderate|severe|extensive",
     .kind = "basilar predominant|peripheral|diffuse|reticular",
     .trend = true,
     .find = "[There are {sev} {kind} interstitial opacities{chg}.|{sev} {kind} interstitial "
             "[markings|thickening] [are|is] [seen|present] bilaterally{chg}.]",
     .imp = "[{sev} chronic interstitial lung disease{chgi}.|{sev} interstitial lung disease, "
            "{kind}{chgi}.]"},
    {.organ = EDEMA,
     .acuity = 3,
     .word = "edema",
     .sev = "mild|moderate|severe|mild to moderate",
     .kind = "interstitial|alveolar|perihilar",
     .trend = true,
     .find = "[There is {sev} {kind} pulmonary edema{chg}.|[Findings are|The appearance is] "
             "consistent with {sev} {kind} pulmonary edema{chg}.|Septal lines and vascular "
             "indistinctness [indicate|suggest|are compatible with] {sev} {kind} edema{chg}.]",
     .imp = "[{sev} pulmonary edema{chgi}.|{sev} {kind} pulmonary edema{chgi}.]"},
    {.organ = EDEMA,
     .acuity = 2,
     .word = "congestion",
     .sev = "mild|moderate|minimal",
     .trend = true,
     .find =
         "[There is {sev} pulmonary vascular congestion{chg}.|{sev} central vascular congestion is "
         "[present|noted|seen]{chg}.|[Upper zone redistribution reflects|Prominent central "
         "vessels reflect] {sev} vascular congestion{chg}.]",
     .imp = "[{sev} pulmonary vascular congestion{chgi}.|{sev} vascular congestion without overt "
            "edema{chgi}.]"},
    {.organ = EFFUSION,
     .acuity = 3,
     .word = "effusion",
     .site = "right|left",
     .trend = true,
     .sev = "small|moderate|large|trace|small to moderate|layering|loculated",
     .find = "[There is a {sev} {site} pleural effusion{chg}.|A {sev} {site} pleural effusion is "
             "[present|noted|seen|again demonstrated]{chg}.|{sev} {site} effusion [blunts the "
             "costophrenic angle|obscures the hemidiaphragm]{chg}.|On the {site} there is a {sev} "
             "pleural effusion{chg}.]",
     .imp = "[{sev} {site} pleural effusion{chgi}.|{site} pleural effusion, {sev}{chgi}.]"},
    {.organ = EFFUSION,
     .acuity = 3,
     .word = "effusions",
     .trend = true,
     .sev = "small|moderate|large|trace|small to moderate",
     .kind = "right greater than left|left greater than right|symmetric",
     .find =
         "[There are {sev} bilateral pleural effusions, {kind}{chg}.|{sev} bilateral pleural "
         "effusions are [present|noted|seen], {kind}{chg}.|Bilateral {sev} effusions, {kind}, are "
         "[identified|demonstrated]{chg}.]",
     .imp = "[{sev} bilateral pleural effusions, {kind}{chgi}.|Bilateral pleural effusions, "
            "{sev}{chgi}.]"},
    {.organ = EFFUSION,
     .acuity = 1,
     .word = "pleural thickening",
     .site = "right|left|biapical",
     .sev = "mild|moderate|chronic",
     .find =
         "[There is {sev} {site} pleural thickening.|{sev} pleural thickening is [seen|noted] on "
         "the {site} side.]",
     .imp = "[{sev} {site} pleural thickening.|{site} pleural thickening.]"},
    {.organ = PNEUMOTHORAX,
     .acuity = 3,
     .word = "pneumothorax",
     .site = "right|left",
     .trend = true,
     .sev = "small|tiny|moderate|large",
     .kind = "apical|basilar|lateral|anterior",
     .find =
         "[There is a {sev} {site} {kind} pneumothorax [without mediastinal shift|without evidence "
         "of tension|]{chg}.|A {sev} {site} {kind} pneumothorax is [present|seen|identified]"
         "{chg}.|A visceral pleural line on the {site} indicates a {sev} {kind} pneumothorax"
         "{chg}.]",
     .imp = "[{sev} {site} {kind} pneumothorax{chgi}.|{sev} {site} pneumothorax{chgi}.]",
     .advice = "Findings were communicated to the referring team."},
    {.organ = HEART,
     .acuity = 2,
     .word = "cardiomegaly",
     .sev = "mild|moderate|severe|borderline",
     .trend = true,
     .find = "[There is {sev} cardiomegaly{chg}.|{sev} cardiomegaly is [present|noted|again seen]"
             "{chg}.|[The cardiac silhouette|Heart size] shows {sev} cardiomegaly{chg}.]",
     .imp = "[{sev} cardiomegaly{chgi}.|Cardiomegaly, {sev}{chgi}.]"},
    {.organ = MEDIASTINUM,
     .acuity = 3,
     .word = "mediastin",
     .sev = "mild|moderate|marked",
     .kind = "superior|upper|right paratracheal",
     .find =
         "[There is {sev} widening of the {kind} mediastinum.|The {kind} mediastinum shows {sev} "
         "widening.]",
     .imp = "[{sev} mediastinal widening.|Widened {kind} mediastinum.]",
     .advice = "Chest CT with contrast is recommended."},
    {.organ = MEDIASTINUM,
     .acuity = 2,
     .word = "hilar",
     .site = "right|left|bilateral",
     .sev = "mild|moderate|prominent",
     .trend = true,
     .find = "[There is {sev} {site} hilar enlargement{chg}.|{sev} {site} hilar fullness is [seen|"
             "noted|present]{chg}.|{site} hilar contour shows {sev} enlargement{chg}.]",
     .imp =
         "[{sev} {site} hilar enlargement, [possibly|may represent] adenopathy{chgi}.|{site} hilar "
         "prominence, possibly lymphadenopathy{chgi}.]"},
    {.organ = MEDIASTINUM,
     .acuity = 1,
     .word = "aort",
     .sev = "mildly|moderately|markedly",
     .kind = "tortuous|calcified|ectatic|unfolded",
     .find =
         "[The [thoracic |]aorta is {sev} {kind}.|{sev} {kind} thoracic aorta is [noted|seen].]",
     .imp = "[{sev} {kind} aorta.|{kind} thoracic aorta.]"},
    {.organ = MEDIASTINUM,
     .acuity = 1,
     .word = "hiatal hernia",
     .sev = "small|moderate|large",
     .find =
         "[There is a {sev} hiatal hernia.|A {sev} hiatal hernia [with an air-fluid level |]is "
         "[seen|noted|present].|A retrocardiac air-fluid level represents a {sev} hiatal hernia.]",
     .imp = "[{sev} hiatal hernia.|Hiatal hernia, {sev}.]"},
    {.organ = BONES,
     .acuity = 3,
     .word = "rib",
     .site = "right|left",
     .kind = "third|fourth|fifth|sixth|seventh|eighth|ninth",
     .sev = "posterior|lateral|anterior",
     .find = "[There is a [minimally |mildly |]displaced fracture of the {site} {kind} rib, {sev}.|"
             "An acute {sev} {site} {kind} rib fracture is [seen|identified|present].]",
     .imp = "[{site} {kind} rib fracture.|Acute {sev} fracture of the {site} {kind} rib.]"},
    {.organ = BONES,
     .acuity = 2,
     .word = "compression",
     .sev = "mild|moderate|severe",
     .kind = "T6|T7|T8|T9|T11|T12|L1",
     .trend = true,
     .find =
         "[There is a {sev} compression deformity of the {kind} vertebral body{chg}.|{sev} {kind} "
         "compression deformity is [noted|seen]{chg}.|Loss of height of {kind} reflects a {sev} "
         "compression fracture{chg}.]",
     .imp = "[{sev} {kind} compression deformity{chgi}.|Compression deformity of {kind}, "
            "{sev}{chgi}.]"},
    {.organ = TUBES,
     .acuity = 2,
     .word = "endotracheal tube",
     .kind = "2|2.5|3|3.5|4|4.5|5",
     .find = "[An endotracheal tube [terminates|ends] {kind} cm above the carina.|The tip of the "
             "endotracheal tube is {kind} cm above the carina.]",
     .imp = "[Endotracheal tube {kind} cm above the carina.|Endotracheal tube in appropriate "
            "position.]"},
    {.organ = TUBES,
     .acuity = 3,
     .word = "enteric tube",
     .kind = "distal esophagus|gastroesophageal junction|right mainstem bronchus",
     .find =
         "[The tip of the enteric tube projects over the {kind}.|An enteric tube terminates in the "
         "{kind}.]",
     .imp = "[Malpositioned enteric tube with tip in the {kind}.|Enteric tube tip in the {kind}.]",
     .advice = "Repositioning is recommended."},
    {.organ = LINES,
     .acuity = 2,
     .word = "catheter",
     .site = "right|left",
     .kind = "internal jugular|subclavian|PICC",
     .sev = "mid SVC|lower SVC|cavoatrial junction|right atrium|upper SVC",
     .find =
         "[A {site} {kind} catheter [terminates|ends] in the {sev}.|The tip of the {site} {kind} "
         "central venous catheter projects over the {sev}.]",
     .imp = "[{site} {kind} catheter with tip in the {sev}.|{site} {kind} catheter ends in the "
            "{sev}.]"},
    {.organ = DEVICES,
     .acuity = 1,
     .word = "pacemaker",
     .site = "left|right",
     .kind = "single-lead|dual-lead|biventricular",
     .find = "[A {site} chest wall {kind} pacemaker is [in place|present] with leads in expected "
             "position.|{site}-sided {kind} pacemaker is [noted|in unchanged position].]",
     .imp = "[{site} {kind} pacemaker in place.|{kind} pacemaker.]"},
    {.organ = ABDOMEN,
     .acuity = 3,
     .word = "free air",
     .kind = "right hemidiaphragm|left hemidiaphragm|hemidiaphragms",
     .find = "[There is free air beneath the {kind}.|Lucency below the {kind} is [consistent with|"
             "compatible with] free air.]",
     .imp = "[Free air beneath the diaphragm, [concerning for|suspicious for] perforation.|"
            "Intraperitoneal free air.]",
     .advice = "Findings were discussed with the referring team by telephone."},
    {.organ = VOLUMES,
     .acuity = 1,
     .word = "low lung volumes",
     .sev = "vascular crowding|crowding of the bronchovascular structures|accentuated markings",
     .find = "[There are low lung volumes with {sev}.|Low lung volumes [result in|cause|produce] "
             "{sev}.]",
     .imp = "[Low lung volumes.|Low lung volumes with {sev}.]"},
    {.organ = VOLUMES,
     .acuity = 1,
     .word = "hyperinflat",
     .sev = "mildly|moderately|markedly",
     .find =
         "[The lungs are {sev} hyperinflated with flattening of the [hemidiaphragms|diaphragm].|"
         "{sev} hyperinflated lungs are [noted|present].]",
     .imp = "[{sev} hyperinflated lungs, [consistent with|compatible with] COPD.|Hyperinflation "
            "[consistent with|suggesting] COPD.]"},
};

const struct synth_exam synth_chest = {
    .modality = "CR",
    .description = "XR CHEST 2 VIEWS|CHEST (PA AND LAT)|CHEST (PORTABLE AP)|Chest radiograph, "
                   "portable|X-ray chest PA and lateral|CHEST PORT. LINE PLACEMENT",
    .technique =
        "Chest PA and lateral|Frontal and lateral views of the chest|Portable AP view of the "
        "chest|Single portable upright view of the chest|Semi-upright AP radiograph of the "
        "chest|Two views of the chest were obtained",
    .clinical = "cough and fever|shortness of breath|chest pain|hypoxia|fall|weakness|leukocytosis|"
                "status post line placement|intubated, evaluate tubes|preoperative evaluation|"
                "altered mental status|congestive heart failure|known malignancy, evaluate for "
                "metastases|productive cough|dyspnea on exertion|syncope|COPD exacerbation|sepsis",
    .normals = SYNTH_TABLE(normals),
    .lesions = SYNTH_TABLE(lesions),
    .none = "[No acute cardiopulmonary process.|No acute cardiopulmonary abnormality.|No acute "
            "intrathoracic process.|Normal chest radiograph.|No evidence of acute cardiopulmonary "
            "disease.|No evidence of pneumonia.]",
    .acute = "[No acute cardiopulmonary process.|No acute cardiopulmonary abnormality.]",
    .weight = 240,
};
