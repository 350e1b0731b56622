"""Where each point stands in the SunSpec models that our devices carry.

Own tables of facts, so that the simulator stays an independent witness; a test holds them against the model files that
the alliance publishes.

Source: SunSpec Alliance, model definitions 1, 103, 113, 120 to 124, 160, 203 and 802 (github.com/sunspec/models,
Apache-2.0).
"""

from dataclasses import dataclass
from functools import cache

# name:type, then *scale factor where there is one, then ! where the standard lets clients write. Id and length,
# the first two registers of every model, are left out.
_TABLES: dict[str, str] = {
    "1": """
        Mn:str16 Md:str16 Opt:str8 Vr:str8 SN:str16 DA:u16! Pad:pad
    """,
    "103": """
        A:u16*A_SF AphA:u16*A_SF AphB:u16*A_SF AphC:u16*A_SF A_SF:sf PPVphAB:u16*V_SF PPVphBC:u16*V_SF
        PPVphCA:u16*V_SF PhVphA:u16*V_SF PhVphB:u16*V_SF PhVphC:u16*V_SF V_SF:sf W:i16*W_SF W_SF:sf Hz:u16*Hz_SF
        Hz_SF:sf VA:i16*VA_SF VA_SF:sf VAr:i16*VAr_SF VAr_SF:sf PF:i16*PF_SF PF_SF:sf WH:a32*WH_SF WH_SF:sf
        DCA:u16*DCA_SF DCA_SF:sf DCV:u16*DCV_SF DCV_SF:sf DCW:i16*DCW_SF DCW_SF:sf TmpCab:i16*Tmp_SF
        TmpSnk:i16*Tmp_SF TmpTrns:i16*Tmp_SF TmpOt:i16*Tmp_SF Tmp_SF:sf St:e16 StVnd:e16 Evt1:b32 Evt2:b32
        EvtVnd1:b32 EvtVnd2:b32 EvtVnd3:b32 EvtVnd4:b32
    """,
    "113": """
        A:f32 AphA:f32 AphB:f32 AphC:f32 PPVphAB:f32 PPVphBC:f32 PPVphCA:f32 PhVphA:f32 PhVphB:f32 PhVphC:f32
        W:f32 Hz:f32 VA:f32 VAr:f32 PF:f32 WH:f32 DCA:f32 DCV:f32 DCW:f32 TmpCab:f32 TmpSnk:f32 TmpTrns:f32
        TmpOt:f32 St:e16 StVnd:e16 Evt1:b32 Evt2:b32 EvtVnd1:b32 EvtVnd2:b32 EvtVnd3:b32 EvtVnd4:b32
    """,
    "120": """
        DERTyp:e16 WRtg:u16*WRtg_SF WRtg_SF:sf VARtg:u16*VARtg_SF VARtg_SF:sf VArRtgQ1:i16*VArRtg_SF
        VArRtgQ2:i16*VArRtg_SF VArRtgQ3:i16*VArRtg_SF VArRtgQ4:i16*VArRtg_SF VArRtg_SF:sf ARtg:u16*ARtg_SF
        ARtg_SF:sf PFRtgQ1:i16*PFRtg_SF PFRtgQ2:i16*PFRtg_SF PFRtgQ3:i16*PFRtg_SF PFRtgQ4:i16*PFRtg_SF
        PFRtg_SF:sf WHRtg:u16*WHRtg_SF WHRtg_SF:sf AhrRtg:u16*AhrRtg_SF AhrRtg_SF:sf MaxChaRte:u16*MaxChaRte_SF
        MaxChaRte_SF:sf MaxDisChaRte:u16*MaxDisChaRte_SF MaxDisChaRte_SF:sf Pad:pad
    """,
    "121": """
        WMax:u16*WMax_SF! VRef:u16*VRef_SF! VRefOfs:i16*VRefOfs_SF! VMax:u16*VMinMax_SF! VMin:u16*VMinMax_SF!
        VAMax:u16*VAMax_SF! VArMaxQ1:i16*VArMax_SF! VArMaxQ2:i16*VArMax_SF! VArMaxQ3:i16*VArMax_SF!
        VArMaxQ4:i16*VArMax_SF! WGra:u16*WGra_SF! PFMinQ1:i16*PFMin_SF! PFMinQ2:i16*PFMin_SF!
        PFMinQ3:i16*PFMin_SF! PFMinQ4:i16*PFMin_SF! VArAct:e16! ClcTotVA:e16! MaxRmpRte:u16*MaxRmpRte_SF!
        ECPNomHz:u16*ECPNomHz_SF! ConnPh:e16! WMax_SF:sf VRef_SF:sf VRefOfs_SF:sf VMinMax_SF:sf VAMax_SF:sf
        VArMax_SF:sf WGra_SF:sf PFMin_SF:sf MaxRmpRte_SF:sf ECPNomHz_SF:sf
    """,
    "122": """
        PVConn:b16 StorConn:b16 ECPConn:b16 ActWh:a64 ActVAh:a64 ActVArhQ1:a64 ActVArhQ2:a64 ActVArhQ3:a64
        ActVArhQ4:a64 VArAval:i16*VArAval_SF VArAval_SF:sf WAval:u16*WAval_SF WAval_SF:sf StSetLimMsk:b32
        StActCtl:b32 TmSrc:str4 Tms:u32 RtSt:b16 Ris:u16*Ris_SF Ris_SF:sf
    """,
    "123": """
        Conn_WinTms:u16! Conn_RvrtTms:u16! Conn:e16! WMaxLimPct:u16*WMaxLimPct_SF! WMaxLimPct_WinTms:u16!
        WMaxLimPct_RvrtTms:u16! WMaxLimPct_RmpTms:u16! WMaxLim_Ena:e16! OutPFSet:i16*OutPFSet_SF!
        OutPFSet_WinTms:u16! OutPFSet_RvrtTms:u16! OutPFSet_RmpTms:u16! OutPFSet_Ena:e16!
        VArWMaxPct:i16*VArPct_SF! VArMaxPct:i16*VArPct_SF! VArAvalPct:i16*VArPct_SF! VArPct_WinTms:u16!
        VArPct_RvrtTms:u16! VArPct_RmpTms:u16! VArPct_Mod:e16! VArPct_Ena:e16! WMaxLimPct_SF:sf OutPFSet_SF:sf
        VArPct_SF:sf
    """,
    "124": """
        WChaMax:u16*WChaMax_SF! WChaGra:u16*WChaDisChaGra_SF! WDisChaGra:u16*WChaDisChaGra_SF! StorCtl_Mod:b16!
        VAChaMax:u16*VAChaMax_SF! MinRsvPct:u16*MinRsvPct_SF! ChaState:u16*ChaState_SF StorAval:u16*StorAval_SF
        InBatV:u16*InBatV_SF ChaSt:e16 OutWRte:i16*InOutWRte_SF! InWRte:i16*InOutWRte_SF! InOutWRte_WinTms:u16!
        InOutWRte_RvrtTms:u16! InOutWRte_RmpTms:u16! ChaGriSet:e16! WChaMax_SF:sf WChaDisChaGra_SF:sf
        VAChaMax_SF:sf MinRsvPct_SF:sf ChaState_SF:sf StorAval_SF:sf InBatV_SF:sf InOutWRte_SF:sf
    """,
    "160": """
        DCA_SF:sf DCV_SF:sf DCW_SF:sf DCWH_SF:sf Evt:b32 N:u16 TmsPer:u16
    """,
    "160.module": """
        ID:u16 IDStr:str8 DCA:u16*DCA_SF DCV:u16*DCV_SF DCW:u16*DCW_SF DCWH:a32*DCWH_SF Tms:u32 Tmp:i16 DCSt:e16
        DCEvt:b32
    """,
    "203": """
        A:i16*A_SF AphA:i16*A_SF AphB:i16*A_SF AphC:i16*A_SF A_SF:sf PhV:i16*V_SF PhVphA:i16*V_SF
        PhVphB:i16*V_SF PhVphC:i16*V_SF PPV:i16*V_SF PhVphAB:i16*V_SF PhVphBC:i16*V_SF PhVphCA:i16*V_SF V_SF:sf
        Hz:i16*Hz_SF Hz_SF:sf W:i16*W_SF WphA:i16*W_SF WphB:i16*W_SF WphC:i16*W_SF W_SF:sf VA:i16*VA_SF
        VAphA:i16*VA_SF VAphB:i16*VA_SF VAphC:i16*VA_SF VA_SF:sf VAR:i16*VAR_SF VARphA:i16*VAR_SF
        VARphB:i16*VAR_SF VARphC:i16*VAR_SF VAR_SF:sf PF:i16*PF_SF PFphA:i16*PF_SF PFphB:i16*PF_SF
        PFphC:i16*PF_SF PF_SF:sf TotWhExp:a32*TotWh_SF TotWhExpPhA:a32*TotWh_SF TotWhExpPhB:a32*TotWh_SF
        TotWhExpPhC:a32*TotWh_SF TotWhImp:a32*TotWh_SF TotWhImpPhA:a32*TotWh_SF TotWhImpPhB:a32*TotWh_SF
        TotWhImpPhC:a32*TotWh_SF TotWh_SF:sf TotVAhExp:a32*TotVAh_SF TotVAhExpPhA:a32*TotVAh_SF
        TotVAhExpPhB:a32*TotVAh_SF TotVAhExpPhC:a32*TotVAh_SF TotVAhImp:a32*TotVAh_SF TotVAhImpPhA:a32*TotVAh_SF
        TotVAhImpPhB:a32*TotVAh_SF TotVAhImpPhC:a32*TotVAh_SF TotVAh_SF:sf TotVArhImpQ1:a32*TotVArh_SF
        TotVArhImpQ1PhA:a32*TotVArh_SF TotVArhImpQ1PhB:a32*TotVArh_SF TotVArhImpQ1PhC:a32*TotVArh_SF
        TotVArhImpQ2:a32*TotVArh_SF TotVArhImpQ2PhA:a32*TotVArh_SF TotVArhImpQ2PhB:a32*TotVArh_SF
        TotVArhImpQ2PhC:a32*TotVArh_SF TotVArhExpQ3:a32*TotVArh_SF TotVArhExpQ3PhA:a32*TotVArh_SF
        TotVArhExpQ3PhB:a32*TotVArh_SF TotVArhExpQ3PhC:a32*TotVArh_SF TotVArhExpQ4:a32*TotVArh_SF
        TotVArhExpQ4PhA:a32*TotVArh_SF TotVArhExpQ4PhB:a32*TotVArh_SF TotVArhExpQ4PhC:a32*TotVArh_SF
        TotVArh_SF:sf Evt:b32
    """,
    "802": """
        AHRtg:u16*AHRtg_SF WHRtg:u16*WHRtg_SF WChaRteMax:u16*WChaDisChaMax_SF WDisChaRteMax:u16*WChaDisChaMax_SF
        DisChaRte:u16*DisChaRte_SF SoCMax:u16*SoC_SF SoCMin:u16*SoC_SF SocRsvMax:u16*SoC_SF!
        SoCRsvMin:u16*SoC_SF! SoC:u16*SoC_SF DoD:u16*DoD_SF SoH:u16*SoH_SF NCyc:u32 ChaSt:e16 LocRemCtl:e16
        Hb:u16 CtrlHb:u16! AlmRst:u16! Typ:e16 State:e16 StateVnd:e16 WarrDt:u32 Evt1:b32 Evt2:b32 EvtVnd1:b32
        EvtVnd2:b32 V:u16*V_SF VMax:u16*V_SF VMin:u16*V_SF CellVMax:u16*CellV_SF CellVMaxStr:u16 CellVMaxMod:u16
        CellVMin:u16*CellV_SF CellVMinStr:u16 CellVMinMod:u16 CellVAvg:u16*CellV_SF A:i16*A_SF
        AChaMax:u16*AMax_SF ADisChaMax:u16*AMax_SF W:i16*W_SF ReqInvState:e16 ReqW:i16*W_SF SetOp:e16!
        SetInvState:e16! AHRtg_SF:sf WHRtg_SF:sf WChaDisChaMax_SF:sf DisChaRte_SF:sf SoC_SF:sf DoD_SF:sf
        SoH_SF:sf V_SF:sf CellV_SF:sf A_SF:sf AMax_SF:sf W_SF:sf
    """,
}

# Words, and the pattern that says "not implemented", which is also what a new image is filled with.
# Source: SunSpec Information Model Specification 1.1, unimplemented values per type.
_TYPES: dict[str, tuple[int, int]] = {
    "u16": (1, 0xFFFF),
    "i16": (1, 0x8000),
    "u32": (2, 0xFFFFFFFF),
    "a32": (2, 0),
    "a64": (4, 0),
    "e16": (1, 0xFFFF),
    "b16": (1, 0xFFFF),
    "b32": (2, 0xFFFFFFFF),
    "sf": (1, 0x8000),
    "f32": (2, 0x7FC00000),
    "pad": (1, 0x8000),
}
_REPEATED = {160: "160.module"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One point of a model; ``offset`` counts registers from the model's id, points of module 3 are named ``3.DCW``."""

    name: str
    type: str
    offset: int
    size: int
    sentinel: int
    scale: str | None
    writable: bool


@cache
def layout(model: int, *, modules: int = 0) -> tuple[Field, ...]:
    """Return the points of a model in order, with ``modules`` repetitions of its repeating group."""
    fields = _fields(_TABLES[str(model)], start=2, prefix="")
    for module in range(1, modules + 1):
        start = fields[-1].offset + fields[-1].size
        fields += _fields(_TABLES[_REPEATED[model]], start=start, prefix=f"{module}.")
    return tuple(fields)


def _fields(table: str, *, start: int, prefix: str) -> list[Field]:
    fields = []
    offset = start
    for entry in table.split():
        name, _, kind = entry.removesuffix("!").partition(":")
        kind, _, scale = kind.partition("*")
        size, sentinel = (int(kind.removeprefix("str")), 0) if kind.startswith("str") else _TYPES[kind]
        fields.append(
            Field(
                name=prefix + name,
                type="str" if kind.startswith("str") else kind,
                offset=offset,
                size=size,
                sentinel=sentinel,
                scale=scale or None,
                writable=entry.endswith("!"),
            )
        )
        offset += size
    return fields
