"""General words for what can be seen, offered as names where a project has no list of its own."""

_COLOURS = (
    "red orange yellow green blue purple pink brown black white grey beige turquoise golden silver"
)
_TEXTURES = (
    "smooth,rough,striped,dotted,spotted,speckled,grainy,woven,wrinkled,cracked,fibrous,porous,"
    "bumpy,glossy,matte,blurred,noisy,mottled,scaly,marbled,honeycomb,mesh,grid,network,"
    "zigzag,wavy,veined,layered,crystalline,brushed"
)
_SHAPES = (
    "circle,square,rectangle,triangle,line,curve,ring,arc,cross,star,dot,corner,edge,border,"
    "stripe,band,spiral,cluster,branch,hole,tube,rod,blob,spot,thin line,thick line,"
    "vertical line,horizontal line,diagonal line,irregular border"
)
_DEFECTS = (
    "crack,scratch,dent,pit,blowhole,stain,rust,corrosion,chip,break,fray,burr,bubble,dust,"
    "contamination,discolouration,uneven surface,groove,abrasion,tear,wear,missing part,"
    "misprint,weld,seam"
)
_ARTEFACTS = (
    "ruler,text,number,label,sticker,logo,watermark,arrow,pen mark,hair,shadow,reflection,glare,"
    "overexposure,underexposure,dark image,bright image,dark corner,vignette,black frame,"
    "compression artefact,lens flare,motion blur,low contrast"
)
_THINGS = (
    "background,skin,metal,wood,fabric,glass,plastic,paper,stone,sand,water,sky,grass,leaf,"
    "plant,animal,fur,feather,face,eye,hand,person,vehicle,wheel,building,wall,floor,window,"
    "screen,chain,nail,screw"
)
GENERAL_WORDS: tuple[str, ...] = (
    *_COLOURS.split(),
    *(
        word
        for group in (_TEXTURES, _SHAPES, _DEFECTS, _ARTEFACTS, _THINGS)
        for word in group.split(",")
    ),
)
