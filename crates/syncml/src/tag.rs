//! The elements of SyncML 1.2, MetInf 1.2 and the DM tree description, with the numbers that WBXML has for them.

/// An element: the code page of WBXML in the high byte, the token in the low one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u16);

/// The namespace of each code page.
const NAMESPACES: [&str; 3] = ["SYNCML:SYNCML1.2", "syncml:metinf", "syncml:dmddf1.2"];

impl Tag {
    /// The tag of a token, if the page has it.
    pub(crate) fn new(page: u8, token: u8) -> Option<Self> {
        let tag = Self(u16::from_be_bytes([page, token]));
        (!tag.name().is_empty()).then_some(tag)
    }

    pub(crate) fn page(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    pub(crate) fn token(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    pub(crate) fn namespace(self) -> &'static str {
        NAMESPACES.get(usize::from(self.page())).copied().unwrap_or_default()
    }

    /// The tag of a name on one page.
    pub(crate) fn named(page: u8, name: &str) -> Option<Self> {
        match page {
            0 => syncml::named(name),
            1 => metinf::named(name),
            _ => ddf::named(name),
        }
    }

    /// The element's name; empty when there is no such token.
    pub(crate) fn name(self) -> &'static str {
        match self.page() {
            0 => syncml::name(self),
            1 => metinf::name(self),
            2 => ddf::name(self),
            _ => "",
        }
    }
}

macro_rules! page {
    ($(#[$doc:meta])* $module:ident = $page:literal { $($token:literal $constant:ident $name:literal,)+ }) => {
        $(#[$doc])*
        #[allow(dead_code, reason = "the table is complete; not every element has a meaning for us")]
        pub(crate) mod $module {
            use super::Tag;

            $(pub(crate) const $constant: Tag = Tag(($page << 8) | $token);)+

            pub(super) fn named(name: &str) -> Option<Tag> {
                Some(match name {
                    $($name => $constant,)+
                    _ => return None,
                })
            }

            pub(super) fn name(tag: Tag) -> &'static str {
                match tag {
                    $($constant => $name,)+
                    _ => "",
                }
            }
        }
    };
}

page! {
    /// Code page 0: SyncML 1.2.
    syncml = 0 {
        0x05 ADD "Add",
        0x06 ALERT "Alert",
        0x07 ARCHIVE "Archive",
        0x08 ATOMIC "Atomic",
        0x09 CHAL "Chal",
        0x0A CMD "Cmd",
        0x0B CMD_ID "CmdID",
        0x0C CMD_REF "CmdRef",
        0x0D COPY "Copy",
        0x0E CRED "Cred",
        0x0F DATA "Data",
        0x10 DELETE "Delete",
        0x11 EXEC "Exec",
        0x12 FINAL "Final",
        0x13 GET "Get",
        0x14 ITEM "Item",
        0x15 LANG "Lang",
        0x16 LOC_NAME "LocName",
        0x17 LOC_URI "LocURI",
        0x18 MAP "Map",
        0x19 MAP_ITEM "MapItem",
        0x1A META "Meta",
        0x1B MSG_ID "MsgID",
        0x1C MSG_REF "MsgRef",
        0x1D NO_RESP "NoResp",
        0x1E NO_RESULTS "NoResults",
        0x1F PUT "Put",
        0x20 REPLACE "Replace",
        0x21 RESP_URI "RespURI",
        0x22 RESULTS "Results",
        0x23 SEARCH "Search",
        0x24 SEQUENCE "Sequence",
        0x25 SESSION_ID "SessionID",
        0x26 SFT_DEL "SftDel",
        0x27 SOURCE "Source",
        0x28 SOURCE_REF "SourceRef",
        0x29 STATUS "Status",
        0x2A SYNC "Sync",
        0x2B SYNC_BODY "SyncBody",
        0x2C SYNC_HDR "SyncHdr",
        0x2D SYNCML "SyncML",
        0x2E TARGET "Target",
        0x2F TARGET_REF "TargetRef",
        0x31 VER_DTD "VerDTD",
        0x32 VER_PROTO "VerProto",
        0x33 NUMBER_OF_CHANGES "NumberOfChanges",
        0x34 MORE_DATA "MoreData",
        0x35 FIELD "Field",
        0x36 FILTER "Filter",
        0x37 RECORD "Record",
        0x38 FILTER_TYPE "FilterType",
        0x39 SOURCE_PARENT "SourceParent",
        0x3A TARGET_PARENT "TargetParent",
        0x3B MOVE "Move",
        0x3C CORRELATOR "Correlator",
    }
}

page! {
    /// Code page 1: MetInf 1.2.
    metinf = 1 {
        0x05 ANCHOR "Anchor",
        0x06 EMI "EMI",
        0x07 FORMAT "Format",
        0x08 FREE_ID "FreeID",
        0x09 FREE_MEM "FreeMem",
        0x0A LAST "Last",
        0x0B MARK "Mark",
        0x0C MAX_MSG_SIZE "MaxMsgSize",
        0x0D MEM "Mem",
        0x0E MET_INF "MetInf",
        0x0F NEXT "Next",
        0x10 NEXT_NONCE "NextNonce",
        0x11 SHARED_MEM "SharedMem",
        0x12 SIZE "Size",
        0x13 TYPE "Type",
        0x14 VERSION "Version",
        0x15 MAX_OBJ_SIZE "MaxObjSize",
        0x16 FIELD_LEVEL "FieldLevel",
    }
}

page! {
    /// Code page 2: the description of a tree.
    ddf = 2 {
        0x05 ACCESS_TYPE "AccessType",
        0x06 ACL "ACL",
        0x07 ADD "Add",
        0x08 FORMAT_B64 "b64",
        0x09 FORMAT_BIN "bin",
        0x0A FORMAT_BOOL "bool",
        0x0B FORMAT_CHR "chr",
        0x0C CASE_SENSE "CaseSense",
        0x0D CIS "CIS",
        0x0E COPY "Copy",
        0x0F CS "CS",
        0x10 FORMAT_DATE "date",
        0x11 DDF_NAME "DDFName",
        0x12 DEFAULT_VALUE "DefaultValue",
        0x13 DELETE "Delete",
        0x14 DESCRIPTION "Description",
        0x15 DFFORMAT "DFFormat",
        0x16 DF_PROPERTIES "DFProperties",
        0x17 DFTITLE "DFTitle",
        0x18 DFTYPE "DFType",
        0x19 DYNAMIC "Dynamic",
        0x1A EXEC "Exec",
        0x1B FORMAT_FLOAT "float",
        0x1C FORMAT "Format",
        0x1D GET "Get",
        0x1E FORMAT_INT "int",
        0x1F MAN "Man",
        0x20 MGMT_TREE "MgmtTree",
        0x21 MIME "MIME",
        0x22 MOD "Mod",
        0x23 NAME "Name",
        0x24 NODE "Node",
        0x25 FORMAT_NODE "node",
        0x26 NODE_NAME "NodeName",
        0x27 FORMAT_NULL "null",
        0x28 OCCURRENCE "Occurrence",
        0x29 ONE "One",
        0x2A ONE_OR_MORE "OneOrMore",
        0x2B ONE_OR_N "OneOrN",
        0x2C PATH "Path",
        0x2D PERMANENT "Permanent",
        0x2E REPLACE "Replace",
        0x2F RT_PROPERTIES "RTProperties",
        0x30 SCOPE "Scope",
        0x31 SIZE "Size",
        0x32 FORMAT_TIME "time",
        0x33 TITLE "Title",
        0x34 TSTAMP "TStamp",
        0x35 TYPE "Type",
        0x36 VALUE "Value",
        0x37 VER_DTD "VerDTD",
        0x38 VER_NO "VerNo",
        0x39 FORMAT_XML "xml",
        0x3A ZERO_OR_MORE "ZeroOrMore",
        0x3B ZERO_OR_N "ZeroOrN",
        0x3C ZERO_OR_ONE "ZeroOrOne",
    }
}
